-- The deadline has passed: close, and write whether it was answered or Paystack is being asked.
-- $1 order ids, $2 deadlines, $3 whether abandoned, $4 whether asking begins, $5 seconds of grace
UPDATE payments
SET closed_at = coalesce(payments.closed_at, app_now()),
    deadline_at = coalesce(payments.deadline_at, app_now()),
    expires_at = coalesce(payments.expires_at, passed.expires_at),
    abandoned_at = CASE WHEN passed.abandoned THEN coalesce(payments.abandoned_at, app_now()) ELSE payments.abandoned_at END,
    grace_ends_at = CASE WHEN passed.asking THEN app_now() + make_interval(secs => $5) ELSE payments.grace_ends_at END,
    closing_why = CASE WHEN passed.asking THEN 'deadline' ELSE payments.closing_why END
FROM unnest($1::uuid[], $2::timestamptz[], $3::boolean[], $4::boolean[]) AS passed (order_id, expires_at, abandoned, asking)
WHERE payments.order_id = passed.order_id;
