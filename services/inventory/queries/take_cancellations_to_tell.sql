-- Claim cancelled events of which orders has not said that it heard, and set when to tell it again.
-- $1 first pause in seconds, $2 longest pause in seconds
WITH due AS (
    SELECT id FROM events WHERE cancel_ask_at <= app_now() ORDER BY cancel_ask_at LIMIT 100 FOR UPDATE SKIP LOCKED
)
UPDATE events
SET cancel_asks = cancel_asks + 1,
    cancel_ask_at = app_now() + make_interval(secs => least($1 * 2 ^ least(cancel_asks, 20), $2))
FROM due
WHERE events.id = due.id
RETURNING events.id, title, cancelled_at, cancel_why;
