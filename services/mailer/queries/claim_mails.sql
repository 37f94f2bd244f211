-- Lease mails that are due, oldest first; what a rival is looking at is passed over.
-- $1 limit, $2 claimant, $3 seconds of the lease
WITH due AS (
    SELECT id
    FROM mails
    WHERE status = 'waiting' AND due_at <= app_now() AND (claimed_until IS NULL OR claimed_until < app_now())
    ORDER BY due_at, id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE mails
SET claimed_by = $2, claimed_until = app_now() + make_interval(secs => $3)
FROM due
WHERE mails.id = due.id
RETURNING mails.id, order_id, kind, email, data, traceparent, created_at, tries, first_id, sending,
    extract(epoch FROM app_now() - created_at)::float8 AS age_seconds;
