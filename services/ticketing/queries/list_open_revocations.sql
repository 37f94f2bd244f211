-- Requests to revoke that have no outcome yet, of orders that are known to be paid.
-- $1 order ids
SELECT order_id, number
FROM revocations
JOIN orders USING (order_id)
WHERE order_id = ANY ($1::uuid[]) AND outcome IS NULL AND issued_at IS NOT NULL
ORDER BY order_id, number;
