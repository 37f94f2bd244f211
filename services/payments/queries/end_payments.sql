-- Write how orders ended; from then on no page to pay is handed out. The first ending stands: orders gives only one.
-- $1 order ids, $2 endings, $3 order references, $4 e-mail addresses, $5 deadlines, $6 charges that paid
UPDATE payments
SET ended = done.ended,
    closed_at = coalesce(payments.closed_at, app_now()),
    paid_charge_id = done.charge_id,
    order_reference = coalesce(payments.order_reference, done.order_reference),
    email = coalesce(payments.email, done.email),
    expires_at = coalesce(payments.expires_at, done.expires_at)
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
    AS done (order_id, ended, order_reference, email, expires_at, charge_id)
WHERE payments.order_id = done.order_id AND payments.ended IS NULL
RETURNING payments.order_id;
