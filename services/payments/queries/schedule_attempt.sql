-- When Paystack is asked about one attempt again.
-- $1 reference, $2 seconds (null: never)
UPDATE attempts SET verify_at = app_now() + make_interval(secs => $2) WHERE reference = $1;
