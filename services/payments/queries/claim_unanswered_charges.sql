-- Charges whose PaymentConfirmed got no answer in time; the pause before the next repeat doubles.
-- $1 limit, $2 first pause in seconds, $3 longest pause
WITH due AS (
    SELECT charge_id FROM charges WHERE ask_at <= app_now() ORDER BY ask_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE charges
SET ask_count = ask_count + 1,
    ask_at = app_now() + make_interval(secs => least($2 * 2 ^ least(ask_count + 1, 30), $3))
FROM due
WHERE charges.charge_id = due.charge_id
RETURNING charges.*;
