-- Keep messages about orders that are not known yet.
-- $1 message ids, $2 order ids, $3 types, $4 data as JSON text, $5 traceparents
INSERT INTO early_messages (message_id, order_id, type, data, traceparent)
SELECT message_id, order_id, type, data::jsonb, traceparent
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
     AS new (message_id, order_id, type, data, traceparent)
ON CONFLICT DO NOTHING;
