-- Write the outcome of a batch of reservations. A row that only announced an end is filled in.
-- $1 order ids, $2 statuses, $3 references, $4 emails, $5 events, $6 lines (both JSON text, since
-- an array of JSON arrays would be taken for one array of two dimensions), $7 totals, $8 currencies, $9 reasons,
-- $10 refused tiers, $11 deadlines, $12 traceparents, $13 seconds from the deadline to the first asking
INSERT INTO holds AS known (order_id, status, reference, email, event, lines, total_kobo, currency, reason, tier_id,
                            expires_at, traceparent, ask_at)
SELECT order_id, status, reference, email, event::jsonb, lines::jsonb, total_kobo, currency, reason, tier_id,
       expires_at, traceparent,
       CASE WHEN new.status = 'held' THEN new.expires_at + make_interval(secs => $13) END
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[],
            $9::text[], $10::uuid[], $11::timestamptz[], $12::text[])
     AS new (order_id, status, reference, email, event, lines, total_kobo, currency, reason, tier_id, expires_at,
             traceparent)
ON CONFLICT (order_id) DO UPDATE
SET status = excluded.status, reference = excluded.reference, email = excluded.email, event = excluded.event,
    lines = excluded.lines, total_kobo = excluded.total_kobo, currency = excluded.currency,
    reason = excluded.reason, tier_id = excluded.tier_id, expires_at = excluded.expires_at,
    traceparent = excluded.traceparent, ask_at = excluded.ask_at
WHERE known.status = 'announced'
RETURNING order_id;
