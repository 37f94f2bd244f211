-- Claim open orders of cancelled events whose turn has not come yet; a rival's are passed over, and found next time.
-- $1 limit
SELECT orders.*, cancelled_events.why AS cancelled_why
FROM cancelled_events
JOIN orders USING (event_id)
WHERE status IN ('pending', 'paid', 'refunding') AND NOT jsonb_exists(details, 'event_cancelled')
LIMIT $1
FOR UPDATE OF orders SKIP LOCKED;
