-- Lock the deadlines a batch is about, in one order for all replicas.
-- $1 order ids
SELECT order_id FROM deadlines WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id FOR UPDATE;
