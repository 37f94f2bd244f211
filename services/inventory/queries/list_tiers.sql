-- The catalogue: every event that is not over, or one event, with its tiers.
-- $1 event id, or NULL for all
SELECT events.id AS event_id, title, venue, starts_at, ends_at, currency, events.cancelled_at,
       tiers.id, name, price_kobo, capacity, available, held, sold, max_per_order, sale_starts_at, sale_ends_at, version
FROM events LEFT JOIN tiers ON tiers.event_id = events.id
WHERE ($1::uuid IS NULL AND events.ends_at > app_now()) OR events.id = $1
ORDER BY starts_at, events.id, tiers.created_at, tiers.id
LIMIT 5000;
