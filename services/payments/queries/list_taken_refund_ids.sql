-- Paystack's ids of this charge's refunds that are not this one: others of ours, and those another hand made. A lookup must
-- not take one of them for its own.
-- $1 charge id, $2 the refund that looks
SELECT provider_refund_id FROM refunds WHERE charge_id = $1 AND id <> $2 AND provider_refund_id IS NOT NULL
UNION ALL
SELECT provider_refund_id FROM outside_refunds WHERE charge_id = $1;
