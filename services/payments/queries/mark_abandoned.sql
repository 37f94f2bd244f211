-- Nobody paid. Guarded: only a payment that is closing, and not twice.
-- $1 order id
UPDATE payments
SET abandoned_at = app_now()
WHERE order_id = $1 AND grace_ends_at IS NOT NULL AND abandoned_at IS NULL AND ended IS NULL
RETURNING *;
