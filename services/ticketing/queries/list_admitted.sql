-- Which of these tickets were let in. Run after their rows are locked.
-- $1 order ids, $2 numbers
SELECT order_id, number
FROM checkins
JOIN unnest($1::uuid[], $2::integer[]) AS given (order_id, number) USING (order_id, number);
