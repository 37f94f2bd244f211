-- Not now: it is due again after a pause. No row: the lease ran out and a rival has the mail.
-- $1 id, $2 claimant, $3 seconds, $4 why
UPDATE mails
SET due_at = app_now() + make_interval(secs => $3), tries = tries + 1, claimed_by = NULL, claimed_until = NULL,
    last_error = $4
WHERE id = $1 AND claimed_by = $2 AND status = 'waiting'
RETURNING id;
