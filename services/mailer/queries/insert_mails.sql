-- Add mails; one that is there already stays as it is.
-- $1 ids, $2 order ids, $3 kinds, $4 keys, $5 addresses, $6 data, $7 trace contexts
INSERT INTO mails (id, order_id, kind, key, email, data, traceparent)
SELECT id, order_id, kind, key, email, data, traceparent
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[])
    AS given (id, order_id, kind, key, email, data, traceparent)
ORDER BY order_id, kind, key
ON CONFLICT DO NOTHING;
