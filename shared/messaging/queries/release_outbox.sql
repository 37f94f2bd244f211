-- Give leases back at once, with the reason; the rows stay until they are sent, however often that fails.
-- $1 row ids, $2 claimant, $3 reasons
UPDATE outbox
SET claimed_by = NULL, claimed_until = NULL, last_error = failed.reason
FROM unnest($1::bigint[], $3::text[]) AS failed (id, reason)
WHERE outbox.id = failed.id AND outbox.claimed_by = $2;
