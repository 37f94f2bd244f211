-- What happened to one order here, for the operator.
-- $1 order id
SELECT created_at AS at, 'the order was made' AS what,
       jsonb_build_object('reference', reference, 'expires_at', expires_at) AS facts
FROM orders WHERE order_id = $1
UNION ALL
SELECT changed_at, 'the order is ' || status, jsonb_build_object('version', version)
FROM order_changes WHERE order_id = $1
UNION ALL
SELECT heard_at, 'heard before the order was known: ' || type, '{}'
FROM early_messages WHERE order_id = $1;
