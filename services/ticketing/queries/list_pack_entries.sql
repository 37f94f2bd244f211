-- What the newest pack says of tickets that changed after a version.
-- $1 event id, $2 version
SELECT code, digest, pack_entries.status, was_blocked, takes_code, version
FROM pack_entries
JOIN tickets USING (order_id, number)
WHERE pack_entries.event_id = $1 AND version > $2;
