-- Store that money is to go back, once for each charge, purpose and request, and never more than the charge. The locks on
-- the payments make this the only writer of their refunds, so that the sums cannot change meanwhile.
-- $1 ids, $2 order ids, $3 charge ids, $4 purposes, $5 references, $6 amounts in kobo, $7 currencies, $8 e-mails,
-- $9 reasons, $10 traces, $11 request ids, $12 ticket numbers as JSON text
WITH wanted AS (
    SELECT *
    FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[],
                $9::text[], $10::text[], $11::uuid[], $12::text[]) WITH ORDINALITY
        AS w (id, order_id, charge_id, purpose, reference, amount_kobo, currency, email, why, traceparent, request_id,
              numbers, place)
    WHERE NOT EXISTS (
        SELECT FROM refunds r
        WHERE r.charge_id = w.charge_id AND r.purpose = w.purpose AND r.request_id = w.request_id
    )
), weighed AS (
    SELECT
        wanted.*,
        CASE
            WHEN charges.charge_id IS NULL THEN NULL
            WHEN charges.order_id IS DISTINCT FROM wanted.order_id THEN 'the charge is not this order''s'
            WHEN charges.currency <> wanted.currency THEN 'the charge is in ' || charges.currency
            WHEN coalesce(earlier.kobo, 0) + sum(wanted.amount_kobo) OVER (PARTITION BY charge_id ORDER BY place)
                 > charges.amount_kobo THEN 'more than the charge would go back'
        END AS failure
    FROM wanted
    LEFT JOIN charges USING (charge_id)
    LEFT JOIN LATERAL (
        SELECT sum(amount_kobo) AS kobo FROM refunds r WHERE r.charge_id = wanted.charge_id AND r.status <> 'failed'
    ) AS earlier ON true
)
INSERT INTO refunds (id, order_id, charge_id, purpose, reference, amount_kobo, currency, email, why, traceparent,
                     request_id, numbers, status, failure, next_at, finished_at)
SELECT id, order_id, charge_id, purpose, reference, amount_kobo, currency, email, why, traceparent, request_id,
       numbers::jsonb,
       CASE WHEN failure IS NULL THEN 'requested' ELSE 'failed' END,
       failure,
       CASE WHEN failure IS NULL THEN app_now() END,
       CASE WHEN failure IS NULL THEN NULL ELSE app_now() END
FROM weighed
ON CONFLICT (charge_id, purpose, request_id) DO NOTHING
RETURNING id;
