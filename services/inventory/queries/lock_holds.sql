-- Lock what is known of these orders, in one order for all replicas, before any decision about them.
-- $1 order ids
SELECT order_id, status, reference, email, event, lines, total_kobo, currency, reason, tier_id, expires_at,
       to_return, returned, traceparent
FROM holds
WHERE order_id = ANY ($1::uuid[])
ORDER BY order_id
FOR UPDATE;
