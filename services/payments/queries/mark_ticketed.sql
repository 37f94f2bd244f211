-- Tickets came, for the charge they name or for an order that cost nothing; that closes its open case.
-- $1 order ids, $2 charge ids (null: none)
UPDATE payments
SET ticketed_charge_id = coalesce(payments.ticketed_charge_id, issued.charge_id),
    ticketed_at = coalesce(payments.ticketed_at, app_now())
FROM unnest($1::uuid[], $2::text[]) AS issued (order_id, charge_id)
WHERE payments.order_id = issued.order_id
  AND (payments.ticketed_at IS NULL OR (payments.ticketed_charge_id IS NULL AND issued.charge_id IS NOT NULL));
