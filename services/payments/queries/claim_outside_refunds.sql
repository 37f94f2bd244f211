-- Refunds by another hand that are not final yet, to be looked at again; the pause doubles.
-- $1 limit, $2 first pause in seconds, $3 longest pause
WITH due AS (
    SELECT provider_refund_id FROM outside_refunds WHERE look_at <= app_now() ORDER BY look_at LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE outside_refunds
SET looks = looks + 1, look_at = app_now() + make_interval(secs => least($2 * 2 ^ least(looks + 1, 30), $3))
FROM due
WHERE outside_refunds.provider_refund_id = due.provider_refund_id
RETURNING outside_refunds.provider_refund_id, charge_id, currency;
