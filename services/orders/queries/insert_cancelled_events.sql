-- Keep that events were cancelled, once each.
-- $1 event ids, $2 titles, $3 reasons, $4 when
INSERT INTO cancelled_events (event_id, title, why, cancelled_at)
SELECT event_id, title, why, cancelled_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) AS new (event_id, title, why, cancelled_at)
ORDER BY event_id
ON CONFLICT DO NOTHING;
