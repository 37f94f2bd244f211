-- Attempts that Paystack lists as unpaid. Not those whose payment is closing: only what is asked after the close counts
-- there, and that is asked for each by itself.
-- $1 references
SELECT attempts.*
FROM attempts
JOIN payments USING (order_id)
WHERE reference = ANY ($1::text[])
  AND status IN ('open', 'unknown', 'failed', 'timed_out')
  AND verify_at IS NOT NULL
  AND (grace_ends_at IS NULL OR abandoned_at IS NOT NULL OR ended IS NOT NULL);
