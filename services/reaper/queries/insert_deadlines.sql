-- Keep the deadlines of new orders; a repeated order keeps its first, an ended one stays ended.
-- $1 order ids, $2 deadlines, $3 traceparents
INSERT INTO deadlines AS known (order_id, expires_at, due_at, traceparent)
SELECT order_id, expires_at, expires_at, traceparent
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS new (order_id, expires_at, traceparent)
ORDER BY order_id
ON CONFLICT (order_id) DO UPDATE
SET expires_at = coalesce(known.expires_at, excluded.expires_at),
    traceparent = coalesce(known.traceparent, excluded.traceparent);
