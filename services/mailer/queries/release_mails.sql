-- Give leased mails back untried: the server is away, or this replica ends. No try is counted.
-- $1 ids, $2 claimant
UPDATE mails
SET claimed_by = NULL, claimed_until = NULL
WHERE id = ANY ($1::uuid[]) AND claimed_by = $2 AND status = 'waiting';
