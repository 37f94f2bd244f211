-- What the organiser chose for an event's gates, also before its first ticket. What is not given stays.
-- $1 event id, $2 form or null, $3 whether $4 is given, $4 when gates open or null, $5 KiB of memory, $6 passes
INSERT INTO gate_events (event_id, wanted_form, opens_at, salt, memory_kib, passes)
VALUES ($1, COALESCE($2::text, 'hashes'), CASE WHEN $3::boolean THEN $4::timestamptz END,
    substring(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) FOR 16), $5, $6)
ON CONFLICT (event_id) DO UPDATE
SET wanted_form = COALESCE($2::text, gate_events.wanted_form),
    opens_at = CASE WHEN $3::boolean THEN $4::timestamptz ELSE gate_events.opens_at END
RETURNING wanted_form, opens_at;
