-- Move places between available, held and sold: one statement for a whole batch, refused whole by the table's CHECK.
-- $1 tier ids, $2 change of available, $3 change of held, $4 change of sold
UPDATE tiers
SET available = tiers.available + moved.available,
    held = tiers.held + moved.held,
    sold = tiers.sold + moved.sold,
    version = version + 1
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[]) AS moved (tier_id, available, held, sold), events
WHERE tiers.id = moved.tier_id AND events.id = tiers.event_id
RETURNING tiers.id, event_id, name, price_kobo, capacity, tiers.available, tiers.held, tiers.sold, max_per_order,
          sale_starts_at, sale_ends_at, version, tiers.cancelled_at, title, venue, starts_at, ends_at, currency;
