-- Paystack has news of this reference's refunds: look now. Its events name no refund, so the news itself is not used.
-- Locked in one order: the webhooks of several refunds of one charge come at the same time.
-- $1 reference
WITH those AS (
    SELECT id FROM refunds WHERE reference = $1 AND next_at IS NOT NULL ORDER BY id FOR UPDATE
)
UPDATE refunds SET next_at = app_now() FROM those WHERE refunds.id = those.id RETURNING refunds.id;
