-- Make the rows of events whose tickets wait for a first pack. An event's salt and its hash's cost stay as they are here.
-- $1 KiB of memory, $2 passes
INSERT INTO gate_events (event_id, salt, memory_kib, passes)
SELECT DISTINCT event_id, substring(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())) FOR 16),
    $1::integer, $2::integer
FROM pack_entries
WHERE is_waiting AND NOT EXISTS (SELECT FROM gate_events WHERE gate_events.event_id = pack_entries.event_id)
ON CONFLICT DO NOTHING;
