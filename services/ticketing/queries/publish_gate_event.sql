-- The next version is out, in the transaction that put its entries in.
-- $1 event id, $2 version, $3 whether no update leads to it, $4 head, $5 now
UPDATE gate_events
SET version = $2, base_version = CASE WHEN $3 THEN $2 ELSE base_version END, head = $4, published_at = $5
WHERE event_id = $1 AND version = $2 - 1;
