-- What is kept of orders that are known to be paid.
-- $1 order ids
SELECT order_id, reference, email, event, charge_id
FROM orders
WHERE order_id = ANY ($1::uuid[]) AND issued_at IS NOT NULL;
