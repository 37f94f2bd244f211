-- Paystack's ids of this charge's other refunds of ours: a lookup must not take one of them for its own.
-- $1 charge id, $2 the refund that looks
SELECT provider_refund_id FROM refunds WHERE charge_id = $1 AND id <> $2 AND provider_refund_id IS NOT NULL;
