-- How an event's orders stand, and whether the turn of the open ones has come.
-- $1 event id
SELECT status, jsonb_exists(details, 'event_cancelled') AS is_taken, count(*) AS orders
FROM orders
WHERE event_id = $1
GROUP BY 1, 2;
