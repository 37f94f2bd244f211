-- Hold the orders for the rest of the transaction, in id order so that two transactions cannot deadlock.
-- $1 order ids
SELECT order_id FROM orders WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id FOR UPDATE;
