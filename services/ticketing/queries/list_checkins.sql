-- Which admission counts of each of these tickets.
-- $1 order ids, $2 numbers
SELECT order_id, number, admission_id
FROM checkins
JOIN unnest($1::uuid[], $2::integer[]) AS given (order_id, number) USING (order_id, number);
