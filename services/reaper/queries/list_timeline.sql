-- What the reaper knows of one order's deadline, for the operator.
-- $1 order id
SELECT created_at AS at, 'the deadline was noted' AS what, jsonb_build_object('ended', ended, 'times_told', times_told) AS facts
FROM deadlines WHERE order_id = $1
UNION ALL
SELECT expires_at, 'the time to pay is over', jsonb_build_object('told_next_at', due_at)
FROM deadlines WHERE order_id = $1 AND expires_at IS NOT NULL;
