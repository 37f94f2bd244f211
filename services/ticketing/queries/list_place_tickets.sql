-- All tickets that the places of these tickets ever had: a place is revoked, by whichever number it is asked for.
-- $1 order ids, $2 numbers
SELECT given.order_id, given.number AS asked, every.number
FROM unnest($1::uuid[], $2::integer[]) AS given (order_id, number)
JOIN tickets AS named USING (order_id, number)
JOIN tickets AS every ON every.order_id = named.order_id AND every.place = named.place
ORDER BY given.order_id, given.number, every.number;
