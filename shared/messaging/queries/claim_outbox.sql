-- Lease what waits, oldest first. No cursor: a row that committed late has a low id and is still found.
-- A claimant's own lease is one it could not finish: it publishes one claim at a time.
-- $1 limit, $2 claimant, $3 seconds of the lease, $4 types that were refused and wait by themselves
WITH waiting AS (
    SELECT id
    FROM outbox
    WHERE
        sent_at IS NULL
        AND (claimed_until IS NULL OR claimed_until < now() OR claimed_by = $2)
        AND type <> ALL ($4::text[])
    ORDER BY id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE outbox
SET claimed_by = $2, claimed_until = now() + make_interval(secs => $3), attempts = attempts + 1
FROM waiting
WHERE outbox.id = waiting.id
RETURNING outbox.id, message_id, type, exchange, routing_key, body, event_count, suspect, created_at, now() AS claimed_at;
