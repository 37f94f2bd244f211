-- These orders have ended. One that was never heard of leaves a row, so that its creation sets no deadline any more.
-- $1 order ids
INSERT INTO deadlines (order_id, ended)
SELECT order_id, true FROM unnest($1::uuid[]) AS ending (order_id) ORDER BY order_id
ON CONFLICT (order_id) DO UPDATE SET ended = true, due_at = NULL WHERE NOT deadlines.ended;
