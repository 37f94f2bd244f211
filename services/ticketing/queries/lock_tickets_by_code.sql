-- Hold the tickets of these codes, in the order of revoking: orders, then tickets. Their orders are shared, so that
-- gates do not wait for each other, and none is blocked or revoked meanwhile.
-- $1 codes
WITH held AS MATERIALIZED (
    SELECT order_id FROM orders
    WHERE order_id IN (SELECT order_id FROM tickets WHERE code = ANY ($1::text[]))
    ORDER BY order_id
    FOR SHARE
)
SELECT tickets.order_id, tickets.number
FROM tickets
JOIN held USING (order_id)
WHERE code = ANY ($1::text[])
ORDER BY tickets.order_id, tickets.number
FOR UPDATE OF tickets;
