-- Revoke. A ticket that is revoked already keeps the time of the first.
-- $1 order ids, $2 numbers, $3 now
UPDATE tickets
SET status = 'revoked', revoked_at = $3
FROM unnest($1::uuid[], $2::integer[]) AS given (order_id, number)
WHERE tickets.order_id = given.order_id AND tickets.number = given.number AND tickets.status = 'valid';
