-- One order, as it is.
-- $1 order id
SELECT * FROM orders WHERE order_id = $1;
