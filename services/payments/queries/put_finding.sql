-- Paystack's list and our row do not agree; found again after it was closed, it is open again.
-- $1 kind, $2 charge id, $3 what differs
INSERT INTO findings AS known (kind, charge_id, why) VALUES ($1, $2, $3)
ON CONFLICT (kind, charge_id) DO UPDATE
SET why = excluded.why, found_at = CASE WHEN known.closed_at IS NULL THEN known.found_at ELSE app_now() END, closed_at = NULL
WHERE known.closed_at IS NOT NULL OR known.why <> excluded.why
RETURNING charge_id;
