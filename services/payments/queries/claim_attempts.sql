-- Lease attempts that are due to be looked up, the longest waiting first. The lease is the next due time itself.
-- $1 limit, $2 seconds of the lease
WITH due AS (
    SELECT reference FROM attempts WHERE verify_at <= app_now() ORDER BY verify_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE attempts
SET verify_at = app_now() + make_interval(secs => $2)
FROM due
WHERE attempts.reference = due.reference
RETURNING attempts.reference;
