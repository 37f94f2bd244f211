-- Forget what was heard of orders that never came to be known, past any replay.
-- $1 seconds, $2 limit
DELETE FROM early_messages
WHERE message_id IN (
    SELECT message_id FROM early_messages WHERE heard_at < now() - make_interval(secs => $1) LIMIT $2
);
