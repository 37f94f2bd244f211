-- Payments as they are, for whoever only looks or holds their locks already.
-- $1 order ids
SELECT * FROM payments WHERE order_id = ANY ($1::uuid[]);
