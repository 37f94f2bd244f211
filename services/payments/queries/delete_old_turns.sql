-- Forget buyers who left the queue long ago.
-- $1 seconds
DELETE FROM turns WHERE seen_at < clock_timestamp() - make_interval(secs => $1);
