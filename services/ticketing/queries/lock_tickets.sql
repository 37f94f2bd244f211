-- Hold tickets against a gate that would admit them at this moment.
-- $1 order ids, $2 numbers
SELECT tickets.order_id, tickets.number
FROM tickets
JOIN unnest($1::uuid[], $2::integer[]) AS given (order_id, number) USING (order_id, number)
ORDER BY tickets.order_id, tickets.number
FOR UPDATE OF tickets;
