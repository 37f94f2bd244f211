-- All sendings of one mail, in order.
-- $1 id of the first
SELECT id, order_id, kind, email, status, sending, tries, last_error, created_at, due_at, ended_at, first_id
FROM mails
WHERE id = $1 OR first_id = $1
ORDER BY sending;
