-- Take tickets for a mail; returns those that were in none yet. A rival transaction with the same ticket waits here.
-- A ticket is left out when a newer one of its place was mailed: it is not valid any more.
-- $1 order ids, $2 numbers, $3 places
INSERT INTO mailed_tickets (order_id, number, place)
SELECT order_id, number, place
FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS given (order_id, number, place)
WHERE NOT EXISTS (
    SELECT FROM mailed_tickets AS newer
    WHERE newer.order_id = given.order_id AND newer.place = given.place AND newer.number > given.number
)
ORDER BY order_id, number
ON CONFLICT DO NOTHING
RETURNING order_id, number;
