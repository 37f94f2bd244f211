-- The one moment in which an order's tickets come to be. No row for an order: its tickets exist already.
-- $1 order ids, $2 references, $3 e-mail addresses, $4 event ids, $5 events, $6 charge ids or null, $7 now
UPDATE orders
SET issued_at = $7, reference = given.reference, email = given.email, event_id = given.event_id,
    event = given.event, charge_id = given.charge_id
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::jsonb[], $6::text[])
    AS given (order_id, reference, email, event_id, event, charge_id)
WHERE orders.order_id = given.order_id AND orders.issued_at IS NULL
RETURNING orders.order_id;
