-- Paystack has news of this reference's refunds: look now. Its events name no refund, so the news itself is not used.
-- $1 reference
UPDATE refunds SET next_at = app_now() WHERE reference = $1 AND next_at IS NOT NULL RETURNING id;
