-- Record confirms. The claimant guards against a lease that ran out and was taken over meanwhile.
-- $1 row ids, $2 claimant
UPDATE outbox
SET sent_at = now(), claimed_by = NULL, claimed_until = NULL, last_error = NULL
WHERE id = ANY ($1::bigint[]) AND claimed_by = $2;
