-- How much waits to be sent, and how long its oldest has: the first figures to look at when orders hang.
SELECT count(*) AS pending, coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest_seconds
FROM outbox
WHERE sent_at IS NULL;
