-- Hold an event while its next version is published. No row: another replica is at it.
-- $1 event id
SELECT version FROM gate_events WHERE event_id = $1 FOR UPDATE SKIP LOCKED;
