-- All tickets of some orders, valid or not, and whether their order is blocked.
-- $1 order ids
SELECT order_id, number, place, tickets.email, tier_id, tier_name, code, qr, tickets.issued_at, revoked_at, blocked_at,
    code_key_id, qr_key_id
FROM tickets
JOIN orders USING (order_id)
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id, number;
