-- Write what was learned about orders without taking any of them out of pending; guarded by the status that was seen.
-- $1 order ids, $2 statuses, $3 versions, $4 totals, $5 currencies, $6 charge ids, $7 when paid, $8 when to ask again,
-- $9 times asked, $10 details as JSON text, $11 statuses seen
UPDATE orders
SET status = new.status, version = new.version, total_kobo = new.total_kobo, currency = new.currency,
    charge_id = new.charge_id, paid_at = new.paid_at, ask_at = new.ask_at, asks = new.asks,
    details = new.details::jsonb
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[],
            $8::timestamptz[], $9::integer[], $10::text[], $11::text[])
     AS new (order_id, status, version, total_kobo, currency, charge_id, paid_at, ask_at, asks, details, seen)
WHERE orders.order_id = new.order_id AND orders.status = new.seen
  AND (orders.status = 'pending') = (new.status = 'pending')
RETURNING orders.order_id;
