-- Open cases, the oldest first.
-- $1 limit
SELECT case_id, kind, charge_id, order_id, reference, amount_kobo, open_kobo, currency, why, opened_at,
       extract(epoch FROM app_now() - opened_at)::float8 AS age_seconds
FROM open_cases
ORDER BY opened_at, charge_id
LIMIT $1;
