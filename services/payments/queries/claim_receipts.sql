-- Receipts whose handling was interrupted. Counted before the try, so that one which fails always backs off.
-- $1 limit
WITH due AS (
    SELECT id FROM receipts WHERE next_at <= app_now() ORDER BY next_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE receipts
SET tries = tries + 1, next_at = app_now() + make_interval(secs => least(5 * 2 ^ least(tries, 20), 3600))
FROM due
WHERE receipts.id = due.id
RETURNING receipts.id;
