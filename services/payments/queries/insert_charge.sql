-- Enter money Paystack took; a charge that is here already had its effect.
-- $1 charge id, $2 reference, $3 order id, $4 amount in kobo, $5 fees, $6 currency, $7 domain, $8 verdict, $9 why,
-- $10 source, $11 paid at, $12 seconds until PaymentConfirmed is repeated, $13 answered, $14 trace, $15 surcharge in kobo
INSERT INTO charges (charge_id, reference, order_id, amount_kobo, fees_kobo, currency, domain, verdict, why, source,
                     paid_at, ask_at, answered, traceparent, surcharge_kobo)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, app_now() + make_interval(secs => $12), $13, $14, $15)
ON CONFLICT (charge_id) DO NOTHING
RETURNING charge_id;
