-- An event and whether it is cancelled.
-- $1 event id
SELECT id, title, cancelled_at, cancel_why FROM events WHERE id = $1;
