-- Lock the stock rows a batch is about, in one order for all replicas; a whole batch waits once for a hot row.
-- $1 tier ids
SELECT tiers.id, event_id, name, price_kobo, capacity, available, held, sold, max_per_order,
       sale_starts_at, sale_ends_at, version, tiers.cancelled_at, title, venue, starts_at, ends_at, currency
FROM tiers JOIN events ON events.id = event_id
WHERE tiers.id = ANY ($1::uuid[])
ORDER BY tiers.id
FOR UPDATE OF tiers;
