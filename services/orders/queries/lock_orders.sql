-- Lock the orders a batch is about, in one order for all replicas, so that what is decided about them is decided once.
-- $1 order ids
SELECT * FROM orders WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id FOR UPDATE;
