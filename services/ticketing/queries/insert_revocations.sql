-- Keep what is asked to be revoked. Asked before: the first row and its outcome stay.
-- $1 order ids, $2 numbers
INSERT INTO revocations (order_id, number)
SELECT order_id, number FROM unnest($1::uuid[], $2::integer[]) AS given (order_id, number)
ORDER BY order_id, number
ON CONFLICT DO NOTHING;
