-- Disputes of which orders has not said that it knows how they stand; the pause before the next telling doubles.
-- $1 limit, $2 first pause in seconds, $3 longest pause
WITH due AS (
    SELECT dispute_id FROM disputes WHERE ask_at <= app_now() ORDER BY ask_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE disputes
SET ask_count = ask_count + 1,
    ask_at = app_now() + make_interval(secs => least($2 * 2 ^ least(ask_count, 30), $3))
FROM due
WHERE disputes.dispute_id = due.dispute_id
RETURNING disputes.*;
