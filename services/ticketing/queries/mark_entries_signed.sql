-- Let the entries of some keys wait for the next version, since it changed which of these keys' codes are taken.
-- $1 event id, $2 key ids
UPDATE pack_entries
SET is_waiting = true
FROM tickets
WHERE pack_entries.event_id = $1 AND NOT pack_entries.is_waiting AND tickets.code_key_id = ANY ($2::text[])
    AND tickets.order_id = pack_entries.order_id AND tickets.number = pack_entries.number;
