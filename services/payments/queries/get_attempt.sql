-- One attempt by our reference: the only way from money to an order.
-- $1 reference
SELECT * FROM attempts WHERE reference = $1;
