-- Give requests to revoke their outcome, once.
-- $1 order ids, $2 numbers, $3 outcomes, $4 now
UPDATE revocations
SET outcome = given.outcome, settled_at = $4
FROM unnest($1::uuid[], $2::integer[], $3::text[]) AS given (order_id, number, outcome)
WHERE revocations.order_id = given.order_id AND revocations.number = given.number AND revocations.outcome IS NULL;
