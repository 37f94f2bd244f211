-- Claim holds that outlived their deadline without word of their order's end, and set when to ask again.
-- $1 limit, $2 first pause in seconds, $3 longest pause in seconds
WITH due AS (
    SELECT order_id
    FROM holds
    WHERE status = 'held' AND ask_at <= app_now()
    ORDER BY ask_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE holds
SET asks = asks + 1, ask_at = app_now() + make_interval(secs => least($2 * 2 ^ least(asks, 20), $3))
FROM due
WHERE holds.order_id = due.order_id
RETURNING holds.order_id, status, reference, email, event, lines, total_kobo, currency, reason, tier_id, expires_at,
          to_return, returned, traceparent;
