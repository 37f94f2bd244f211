-- Change an attempt's status; guarded by the statuses it may have had, so that a late result overwrites nothing newer.
-- $1 reference, $2 statuses it may have, $3 new status, $4 seconds until it is looked up (null: never)
UPDATE attempts
SET status = $3, verify_at = app_now() + make_interval(secs => $4), verify_count = 0
WHERE reference = $1 AND status = ANY ($2::text[])
RETURNING reference;
