-- Claim what is due, passing over what a rival replica has; each is told again until its order has ended.
-- $1 limit, $2 first pause in seconds, $3 longest pause in seconds
WITH due AS (
    SELECT order_id
    FROM deadlines
    WHERE due_at <= app_now()
    ORDER BY due_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE deadlines
SET times_told = times_told + 1,
    due_at = app_now() + make_interval(secs => least($2 * 2 ^ least(times_told, 20), $3))
FROM due
WHERE deadlines.order_id = due.order_id
RETURNING deadlines.order_id, expires_at, traceparent;
