-- Take locked entries into a version as their tickets stand now.
-- $1 order ids, $2 numbers, $3 version, $4 compromised keys of codes, $5 since when
UPDATE pack_entries
SET version = $3, is_waiting = false, status = now_is.status,
    was_blocked = was_blocked OR now_is.status = 'blocked', takes_code = now_is.takes_code
FROM (
    SELECT tickets.order_id, tickets.number,
        CASE
            WHEN tickets.status = 'revoked' THEN 'revoked'
            WHEN orders.blocked_at IS NOT NULL THEN 'blocked'
            ELSE 'valid'
        END AS status,
        NOT EXISTS (
            SELECT FROM unnest($4::text[], $5::timestamptz[]) AS cut (key_id, since)
            WHERE cut.key_id = tickets.code_key_id AND tickets.issued_at >= cut.since
        ) AS takes_code
    FROM unnest($1::uuid[], $2::integer[]) AS given (order_id, number)
    JOIN tickets USING (order_id, number)
    JOIN orders USING (order_id)
) AS now_is
WHERE pack_entries.order_id = now_is.order_id AND pack_entries.number = now_is.number;
