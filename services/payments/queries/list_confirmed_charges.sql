-- The confirmed charges of these orders, oldest first.
-- $1 order ids
SELECT * FROM charges WHERE order_id = ANY ($1::uuid[]) AND verdict = 'confirmed' ORDER BY paid_at, charge_id;
