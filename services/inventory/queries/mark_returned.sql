-- Record places as given back, in the transaction that adds them to the stock.
-- $1 order ids, $2 totals as {"tier id": places}
UPDATE holds
SET returned = new.totals
FROM unnest($1::uuid[], $2::jsonb[]) AS new (order_id, totals)
WHERE holds.order_id = new.order_id AND status = 'sold';
