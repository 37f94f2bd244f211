-- A new phase of these orders: ask Paystack about every attempt that may still bring money, counting from the start.
-- $1 order ids, $2 seconds, $3 whether earlier denials no longer count
UPDATE attempts
SET verify_at = app_now() + make_interval(secs => $2),
    verify_count = 0,
    denied_at = CASE WHEN $3 THEN NULL ELSE denied_at END
WHERE order_id = ANY ($1::uuid[]) AND status NOT IN ('refused', 'paid', 'mismatched', 'reversed');
