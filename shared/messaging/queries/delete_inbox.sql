-- Forget handled messages past their retention, which is longer than the outbox's: a replay must still be known.
-- $1 seconds of retention, $2 limit
DELETE FROM inbox
WHERE message_id IN (
    SELECT message_id
    FROM inbox
    WHERE received_at < now() - make_interval(secs => $1)
    ORDER BY received_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
);
