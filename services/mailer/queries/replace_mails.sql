-- Sendings that still wait go no more: another, to another address, goes instead. One on its way can come all the same.
-- $1 ids
UPDATE mails
SET status = 'replaced', ended_at = app_now(), claimed_by = NULL, claimed_until = NULL
WHERE id = ANY ($1::uuid[]) AND status = 'waiting';
