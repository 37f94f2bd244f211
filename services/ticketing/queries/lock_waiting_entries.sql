-- Hold the entries for the next version. A statement of its own: the next one has to see every change that was
-- committed before these locks were given. What somebody is changing at this moment waits for the version after.
-- $1 event id, $2 whether an entry needs a digest
SELECT entry.order_id, entry.number
FROM pack_entries AS entry
JOIN tickets USING (order_id, number)
WHERE entry.event_id = $1 AND entry.is_waiting
    AND (entry.digest IS NOT NULL OR NOT $2::boolean OR tickets.status = 'revoked')
ORDER BY entry.order_id, entry.number
FOR UPDATE OF entry SKIP LOCKED;
