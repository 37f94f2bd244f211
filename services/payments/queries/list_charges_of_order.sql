-- Every charge of one order, for an operator.
-- $1 order id
SELECT * FROM charges WHERE order_id = $1 ORDER BY seen_at, charge_id;
