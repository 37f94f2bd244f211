-- Forget orders that ended long ago: longer than any message about them can come back.
-- $1 seconds of retention, $2 limit
DELETE FROM deadlines
WHERE order_id IN (
    SELECT order_id FROM deadlines
    WHERE ended AND created_at < now() - make_interval(secs => $1)
    LIMIT $2
    FOR UPDATE SKIP LOCKED
);
