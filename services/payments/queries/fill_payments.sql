-- Write what StockReserved says, once; a repeat changes nothing. An order that costs nothing has nothing to pay.
-- $1 order ids, $2 amounts in kobo, $3 currencies, $4 order references, $5 e-mail addresses, $6 deadlines, $7 traces,
-- $8 ids of the events, $9 their titles
UPDATE payments
SET amount_kobo = filled.amount_kobo,
    currency = filled.currency,
    order_reference = filled.order_reference,
    email = filled.email,
    expires_at = filled.expires_at,
    traceparent = filled.traceparent,
    event_id = filled.event_id,
    event_title = filled.event_title,
    closed_at = CASE WHEN filled.amount_kobo = 0 THEN coalesce(payments.closed_at, app_now()) ELSE payments.closed_at END
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::text[],
            $8::uuid[], $9::text[])
    AS filled (order_id, amount_kobo, currency, order_reference, email, expires_at, traceparent, event_id, event_title)
WHERE payments.order_id = filled.order_id AND payments.amount_kobo IS NULL;
