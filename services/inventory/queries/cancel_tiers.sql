-- Take an event's stock rows from sale, once each; waits for reservations that are under way.
-- $1 event id
UPDATE tiers
SET cancelled_at = app_now(), version = version + 1
WHERE event_id = $1 AND cancelled_at IS NULL
RETURNING id;
