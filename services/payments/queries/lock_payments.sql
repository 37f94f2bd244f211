-- Lock payments in the order of their ids: everything that changes an order's attempts, charges or refunds does this first.
-- $1 order ids
SELECT * FROM payments WHERE order_id = ANY ($1::uuid[]) ORDER BY order_id FOR UPDATE;
