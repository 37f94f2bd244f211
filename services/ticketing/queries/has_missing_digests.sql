-- Whether an event still waits for digests. Until it does not, its pack keeps the form without them.
-- $1 event id
SELECT EXISTS (
    SELECT
    FROM pack_entries
    JOIN tickets USING (order_id, number)
    WHERE pack_entries.event_id = $1 AND pack_entries.digest IS NULL AND tickets.status = 'valid'
);
