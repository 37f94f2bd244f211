-- What Paystack said about an attempt that brought no money.
-- $1 reference, $2 status, $3 Paystack's status, $4 whether it denied that anybody paid, $5 whether this counts as asked
UPDATE attempts
SET status = $2,
    provider_status = coalesce($3, provider_status),
    denied_at = CASE WHEN $4 THEN app_now() ELSE denied_at END,
    verify_count = verify_count + $5::boolean::integer
WHERE reference = $1
RETURNING *;
