-- Keep what Paystack says of a dispute, in whatever order it comes: what is final stays, and news makes orders be told.
-- No row comes back where nothing is new.
-- $1 id, $2 charge id, $3 order id or null, $4 reference, $5 amount in kobo, $6 currency, $7 status, $8 Paystack's status,
-- $9 resolution, $10 category, $11 due at, $12 resolved at
INSERT INTO disputes AS known (dispute_id, charge_id, order_id, reference, amount_kobo, currency, status, provider_status,
                               resolution, category, due_at, resolved_at, ask_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
        CASE WHEN $7 = 'open' THEN NULL ELSE coalesce($12, app_now()) END, CASE WHEN $3::uuid IS NULL THEN NULL ELSE app_now() END)
ON CONFLICT (dispute_id) DO UPDATE
SET status = excluded.status,
    provider_status = excluded.provider_status,
    amount_kobo = excluded.amount_kobo,
    resolution = excluded.resolution,
    category = coalesce(excluded.category, known.category),
    due_at = coalesce(excluded.due_at, known.due_at),
    resolved_at = excluded.resolved_at,
    ask_at = excluded.ask_at,
    ask_count = 0
WHERE known.status NOT IN ('won', 'lost')
  AND NOT (known.status = 'unclear' AND excluded.status = 'open')
  AND (known.status, known.provider_status, known.amount_kobo, known.due_at)
      IS DISTINCT FROM (excluded.status, excluded.provider_status, excluded.amount_kobo,
                        coalesce(excluded.due_at, known.due_at))
RETURNING *;
