-- Money came under this reference: Paystack need not be asked about it again.
-- $1 reference, $2 status
UPDATE attempts SET status = $2, verify_at = NULL WHERE reference = $1;
