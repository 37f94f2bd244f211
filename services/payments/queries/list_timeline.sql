-- What happened to one order's money here, for the operator.
-- $1 order id
SELECT created_at AS at, 'the payment was made ready' AS what,
       jsonb_strip_nulls(jsonb_build_object('amount_kobo', amount_kobo, 'currency', currency)) AS facts
FROM payments WHERE order_id = $1
UNION ALL
SELECT closed_at, 'no page to pay is handed out from here on',
       jsonb_strip_nulls(jsonb_build_object('why', closing_why, 'grace_ends_at', grace_ends_at))
FROM payments WHERE order_id = $1 AND closed_at IS NOT NULL
UNION ALL
SELECT abandoned_at, 'nobody paid', '{}' FROM payments WHERE order_id = $1 AND abandoned_at IS NOT NULL
UNION ALL
SELECT created_at, 'the buyer went to pay', jsonb_build_object('reference', reference)
FROM attempts WHERE order_id = $1
UNION ALL
SELECT opened_at, 'Paystack opened its page', jsonb_build_object('reference', reference, 'attempt', status)
FROM attempts WHERE order_id = $1 AND opened_at IS NOT NULL
UNION ALL
SELECT receipts.received_at, 'a webhook came',
       jsonb_strip_nulls(jsonb_build_object('event', receipts.event, 'reference', receipts.reference,
                                            'outcome', receipts.outcome))
FROM receipts JOIN attempts USING (reference) WHERE attempts.order_id = $1
UNION ALL
SELECT seen_at, 'a charge was entered',
       jsonb_strip_nulls(jsonb_build_object('charge_id', charge_id, 'reference', reference, 'amount_kobo', amount_kobo,
                                            'verdict', verdict, 'source', source, 'why', why, 'paid_at', paid_at))
FROM charges WHERE order_id = $1
UNION ALL
SELECT requested_at, 'a refund was asked for',
       jsonb_build_object('charge_id', charge_id, 'amount_kobo', amount_kobo, 'purpose', purpose, 'why', why)
FROM refunds WHERE order_id = $1
UNION ALL
SELECT started_at, 'Paystack took the refund', jsonb_build_object('charge_id', charge_id, 'purpose', purpose)
FROM refunds WHERE order_id = $1 AND started_at IS NOT NULL
UNION ALL
SELECT finished_at, 'the refund is ' || status,
       jsonb_strip_nulls(jsonb_build_object('charge_id', charge_id, 'purpose', purpose, 'failure', failure))
FROM refunds WHERE order_id = $1 AND finished_at IS NOT NULL
UNION ALL
SELECT opened_at, 'a dispute was opened',
       jsonb_strip_nulls(jsonb_build_object('dispute_id', dispute_id, 'charge_id', charge_id, 'category', category,
                                            'due_at', due_at))
FROM disputes WHERE order_id = $1
UNION ALL
SELECT resolved_at, 'the dispute is ' || status,
       jsonb_strip_nulls(jsonb_build_object('dispute_id', dispute_id, 'resolution', resolution, 'tickets', tickets))
FROM disputes WHERE order_id = $1 AND resolved_at IS NOT NULL;
