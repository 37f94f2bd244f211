-- One more sending of a mail, with its own id and so its own Message-ID. The lock on the first makes the number free.
-- $1 id, $2 id of the first, $3 number of the sending, $4 address
INSERT INTO mails (id, order_id, kind, key, email, data, traceparent, first_id, sending)
SELECT $1, order_id, kind, key || '#' || $3::integer, $4, data, traceparent, id, $3
FROM mails
WHERE id = $2
RETURNING id;
