-- Every dispute of one order, for an operator.
-- $1 order id
SELECT dispute_id, charge_id, reference, amount_kobo, currency, status, provider_status, resolution, category, due_at,
       opened_at, resolved_at, tickets
FROM disputes
WHERE order_id = $1
ORDER BY opened_at, dispute_id;
