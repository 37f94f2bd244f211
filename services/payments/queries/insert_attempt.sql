-- Store the reference before Paystack hears of it. The lease says until when the call may be under way.
-- $1 reference, $2 order id, $3 amount in kobo, $4 currency, $5 seconds of the lease
INSERT INTO attempts (reference, order_id, amount_kobo, currency, status, lease_until, verify_at)
VALUES ($1, $2, $3, $4, 'creating', app_now() + make_interval(secs => $5), app_now() + make_interval(secs => $5));
