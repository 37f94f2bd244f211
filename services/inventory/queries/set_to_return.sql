-- Note how many places are to be given back in all; totals only grow, so a repeat or an older message changes nothing.
-- $1 order ids, $2 totals as {"tier id": places}
UPDATE holds
SET to_return = (
    SELECT jsonb_object_agg(tier, places)
    FROM (
        SELECT tier, max(places::integer) AS places
        FROM (SELECT * FROM jsonb_each_text(holds.to_return) UNION ALL SELECT * FROM jsonb_each_text(new.totals))
             AS both_totals (tier, places)
        GROUP BY tier
    ) AS greatest_totals
)
FROM unnest($1::uuid[], $2::jsonb[]) AS new (order_id, totals)
WHERE holds.order_id = new.order_id
RETURNING holds.order_id, status, lines, to_return, returned, traceparent;
