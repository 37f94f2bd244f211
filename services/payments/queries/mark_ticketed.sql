-- Tickets name the charge they were issued for, which closes its open case.
-- $1 order ids, $2 charge ids
UPDATE payments
SET ticketed_charge_id = issued.charge_id
FROM unnest($1::uuid[], $2::text[]) AS issued (order_id, charge_id)
WHERE payments.order_id = issued.order_id AND payments.ticketed_charge_id IS NULL;
