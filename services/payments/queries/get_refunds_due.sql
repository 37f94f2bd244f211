-- Seconds until the next step of a refund; null when none is under way. One without its charge waits for the charge.
SELECT extract(epoch FROM min(greatest(next_at, claimed_until)) - app_now())::float8
FROM refunds
WHERE next_at IS NOT NULL AND EXISTS (SELECT FROM charges WHERE charges.charge_id = refunds.charge_id);
