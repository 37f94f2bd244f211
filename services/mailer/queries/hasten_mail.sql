-- A person wants it now: a pause after a refusal is over. No row: it does not wait any more.
-- $1 id
UPDATE mails
SET due_at = app_now()
WHERE id = $1 AND status = 'waiting'
RETURNING id;
