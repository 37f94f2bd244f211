-- The referee: an order leaves pending exactly once. Whoever comes second finds no row.
-- $1 order ids, $2 statuses, $3 versions, $4 totals, $5 currencies, $6 charge ids, $7 when paid, $8 when to ask again,
-- $9 times asked, $10 details as JSON text
UPDATE orders
SET status = new.status, version = new.version, total_kobo = new.total_kobo, currency = new.currency,
    charge_id = new.charge_id, paid_at = new.paid_at, ask_at = new.ask_at, asks = new.asks,
    details = new.details::jsonb
FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[],
            $8::timestamptz[], $9::integer[], $10::text[])
     AS new (order_id, status, version, total_kobo, currency, charge_id, paid_at, ask_at, asks, details)
WHERE orders.order_id = new.order_id AND orders.status = 'pending' AND new.status <> 'pending'
RETURNING orders.order_id;
