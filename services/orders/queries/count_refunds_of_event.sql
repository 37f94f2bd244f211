-- The organiser's refunds of an event's orders, by how they stand.
-- $1 event id
SELECT refund ->> 'status' AS status, count(*) AS refunds, sum((refund ->> 'amount_kobo')::bigint)::bigint AS amount_kobo
FROM orders, jsonb_array_elements(details -> 'refunds') AS refund
WHERE event_id = $1 AND refund ->> 'purpose' = 'organiser'
GROUP BY 1;
