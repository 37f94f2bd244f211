-- Keep digests. One that is there already stays: it is the same.
-- $1 order ids, $2 numbers, $3 digests
UPDATE pack_entries
SET digest = given.digest, claimed_until = NULL
FROM unnest($1::uuid[], $2::integer[], $3::bytea[]) AS given (order_id, number, digest)
WHERE pack_entries.order_id = given.order_id AND pack_entries.number = given.number AND pack_entries.digest IS NULL;
