-- Add new orders. A known order, and one whose reference is taken, gives no row: the caller tells them apart.
-- $1 order ids, $2 references, $3 emails, $4 request hashes, $5 details as JSON text, $6 traceparents,
-- $7 seconds to pay within, $8 seconds until the stock is asked for again
INSERT INTO orders (order_id, reference, status, version, email, request_hash, created_at, expires_at, ask_at,
                    traceparent, details)
SELECT order_id, reference, 'pending', 1, email, request_hash, app_now(), app_now() + make_interval(secs => $7),
       app_now() + make_interval(secs => $8), traceparent, details::jsonb
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
     AS new (order_id, reference, email, request_hash, details, traceparent)
ON CONFLICT DO NOTHING
RETURNING *;
