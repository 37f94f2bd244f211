-- Add a tier; all its places are available. No row comes back when the event does not exist, or is cancelled; whoever
-- cancels it at this moment waits, and takes the new tier from sale too.
-- $1 id, $2 event id, $3 name, $4 price in kobo, $5 capacity, $6 places per order, $7 sale starts, $8 sale ends
INSERT INTO tiers (id, event_id, name, price_kobo, capacity, available, max_per_order, sale_starts_at, sale_ends_at)
SELECT $1, events.id, $3, $4, $5, $5, $6, $7, $8 FROM events WHERE events.id = $2 AND cancelled_at IS NULL FOR SHARE
RETURNING id;
