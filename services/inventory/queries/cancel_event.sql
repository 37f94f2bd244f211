-- Cancel an event, once; the words of the first call stay.
-- $1 event id, $2 why, $3 seconds until orders is told again
UPDATE events
SET cancelled_at = app_now(), cancel_why = $2, cancel_ask_at = app_now() + make_interval(secs => $3)
WHERE id = $1 AND cancelled_at IS NULL
RETURNING id;
