-- It is known what became of these charges, tickets or a refund: PaymentConfirmed is not repeated any more.
-- $1 charge ids, $2 order ids, $3 answer
UPDATE charges
SET ask_at = NULL, answered = coalesce(charges.answered, $3)
FROM unnest($1::text[], $2::uuid[]) AS named (charge_id, order_id)
WHERE charges.charge_id = named.charge_id AND charges.order_id = named.order_id AND verdict = 'confirmed';
