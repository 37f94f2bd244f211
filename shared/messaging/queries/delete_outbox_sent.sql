-- Take away sent rows past their retention, a bounded number at a time so that no lock or vacuum debt is long.
-- $1 seconds of retention, $2 limit
DELETE FROM outbox
WHERE id IN (
    SELECT id FROM outbox
    WHERE sent_at < now() - make_interval(secs => $1)
    ORDER BY sent_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
);
