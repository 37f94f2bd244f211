-- One cancelled event.
-- $1 event id
SELECT event_id, title, why, cancelled_at FROM cancelled_events WHERE event_id = $1;
