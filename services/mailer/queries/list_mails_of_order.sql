-- What was mailed about an order, newest first.
-- $1 order id, $2 limit
SELECT id, order_id, kind, email, status, sending, tries, last_error, created_at, due_at, ended_at, first_id
FROM mails
WHERE order_id = $1
ORDER BY created_at DESC, sending DESC, id
LIMIT $2;
