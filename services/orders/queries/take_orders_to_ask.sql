-- Claim orders that have waited long enough for an answer.
-- $1 limit
SELECT * FROM orders WHERE ask_at <= app_now() ORDER BY ask_at LIMIT $1 FOR UPDATE SKIP LOCKED;
