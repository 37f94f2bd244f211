-- Take tickets for a mail; returns those that were in none yet. A rival transaction with the same ticket waits here.
-- $1 order ids, $2 numbers
INSERT INTO mailed_tickets (order_id, number)
SELECT order_id, number FROM unnest($1::uuid[], $2::integer[]) AS given (order_id, number)
ORDER BY order_id, number
ON CONFLICT DO NOTHING
RETURNING order_id, number;
