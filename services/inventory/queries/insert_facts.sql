-- Keep what was heard of orders whose creation was not: waits for a rival that is creating the hold just now.
-- $1 order ids, $2 status (announced or released)
INSERT INTO holds (order_id, status)
SELECT order_id, $2 FROM unnest($1::uuid[]) AS unheard (order_id)
ON CONFLICT (order_id) DO NOTHING;
