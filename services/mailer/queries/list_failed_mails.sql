-- Mails that were given up and not sent again since: what a person has to look at, newest first.
-- $1 limit
SELECT id, order_id, kind, email, status, sending, tries, last_error, created_at, due_at, ended_at, first_id
FROM mails AS failed
WHERE status = 'failed'
  AND NOT EXISTS (
      SELECT 1
      FROM mails AS later
      WHERE later.first_id = coalesce(failed.first_id, failed.id) AND later.sending > failed.sending
  )
ORDER BY ended_at DESC, id
LIMIT $1;
