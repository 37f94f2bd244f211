-- A declined card gives the stock back at once, where that is set: close, and ask about the order's other attempts.
-- $1 order id, $2 seconds of grace
UPDATE payments
SET closed_at = app_now(), grace_ends_at = app_now() + make_interval(secs => $2), closing_why = 'declined'
WHERE order_id = $1 AND closed_at IS NULL
RETURNING *;
