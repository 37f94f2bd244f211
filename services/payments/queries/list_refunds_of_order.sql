-- Every refund of one order, for an operator.
-- $1 order id
SELECT * FROM refunds WHERE order_id = $1 ORDER BY requested_at, id;
