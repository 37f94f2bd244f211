-- Change a tier. A capacity below what is held and sold takes no row; a NULL leaves a column as it is.
-- $1 id, $2 name, $3 price in kobo, $4 capacity, $5 places per order, $6 whether to set the start of the sale,
-- $7 that start, $8 whether to set its end, $9 that end
UPDATE tiers
SET name = coalesce($2, name),
    price_kobo = coalesce($3, price_kobo),
    available = available + coalesce($4, capacity) - capacity,
    capacity = coalesce($4, capacity),
    max_per_order = coalesce($5, max_per_order),
    sale_starts_at = CASE WHEN $6 THEN $7::timestamptz ELSE sale_starts_at END,
    sale_ends_at = CASE WHEN $8 THEN $9::timestamptz ELSE sale_ends_at END,
    version = version + 1
WHERE id = $1 AND available + coalesce($4, capacity) - capacity >= 0
RETURNING id;
