-- All attempts of these orders, oldest first.
-- $1 order ids
SELECT * FROM attempts WHERE order_id = ANY ($1::uuid[]) ORDER BY created_at, reference;
