-- What was published last of an event.
-- $1 event id
SELECT version, base_version, head FROM gate_events WHERE event_id = $1 AND version > 0;
