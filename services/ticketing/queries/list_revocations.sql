-- How requests to revoke ended.
-- $1 order ids
SELECT order_id, number, outcome, settled_at
FROM revocations
WHERE order_id = ANY ($1::uuid[]) AND outcome IS NOT NULL
ORDER BY order_id, number;
