-- Paystack gave a page. Guarded: when the lease ran out, another click may have opened a page of its own.
-- $1 reference, $2 address, $3 access code, $4 seconds until it is looked up
UPDATE attempts
SET status = 'open', authorization_url = $2, access_code = $3, opened_at = app_now(),
    verify_at = app_now() + make_interval(secs => $4), verify_count = 0
WHERE reference = $1 AND status = 'creating'
RETURNING *;
