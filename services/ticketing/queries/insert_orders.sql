-- Make the rows of orders nobody has heard of, so that the first two messages about one meet at a lock.
-- $1 order ids
INSERT INTO orders (order_id)
SELECT order_id FROM unnest($1::uuid[]) AS given (order_id)
ORDER BY order_id
ON CONFLICT DO NOTHING;
