-- All tickets of some orders, valid or not.
-- $1 order ids
SELECT order_id, number, tier_id, tier_name, code, qr, issued_at, revoked_at
FROM tickets
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id, number;
