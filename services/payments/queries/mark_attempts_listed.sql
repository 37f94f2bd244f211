-- A page of Paystack's list answers for many attempts at once, each as if it had been looked up. Guarded by what was
-- read: a rival's later answer stands.
-- $1 references, $2 statuses they had, $3 counts of looks they had, $4 what Paystack says, $5 seconds until the next look
UPDATE attempts
SET provider_status = listed.provider_status,
    verify_count = attempts.verify_count + 1,
    verify_at = app_now() + make_interval(secs => listed.seconds)
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::float8[])
    AS listed (reference, status, verify_count, provider_status, seconds)
WHERE attempts.reference = listed.reference
  AND attempts.status = listed.status
  AND attempts.verify_count = listed.verify_count
RETURNING attempts.reference;
