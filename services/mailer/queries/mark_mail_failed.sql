-- Given up. No row: the lease ran out and a rival has the mail.
-- $1 id, $2 claimant, $3 why
UPDATE mails
SET status = 'failed', ended_at = app_now(), tries = tries + 1, claimed_by = NULL, claimed_until = NULL, last_error = $3
WHERE id = $1 AND claimed_by = $2 AND status = 'waiting'
RETURNING id;
