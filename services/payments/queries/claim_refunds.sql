-- Lease refunds that are due. One that was only requested becomes "sending" before Paystack is called, so that a
-- process that dies in the call leaves a row that says "look it up first". The due time becomes the lease's beginning,
-- so that news that comes meanwhile shows as a later one.
-- $1 limit, $2 claimant, $3 seconds of the lease
WITH due AS (
    SELECT id, status AS was
    FROM refunds
    WHERE next_at <= app_now()
      AND (claimed_until IS NULL OR claimed_until < app_now())
      AND EXISTS (SELECT FROM charges WHERE charges.charge_id = refunds.charge_id)
    ORDER BY next_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE refunds
SET status = CASE due.was WHEN 'requested' THEN 'sending' ELSE due.was END,
    calls = calls + (due.was = 'requested')::integer,
    next_at = app_now(),
    claimed_by = $2,
    claimed_until = app_now() + make_interval(secs => $3)
FROM due, charges
WHERE refunds.id = due.id AND charges.charge_id = refunds.charge_id
RETURNING refunds.*, due.was, charges.amount_kobo AS charge_kobo;
