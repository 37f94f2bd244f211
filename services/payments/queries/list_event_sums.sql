-- What each event's charges come to, and how many of them do not add up: against their own rows, or in themselves.
SELECT
    event_id, max(event_title) AS title, charges.currency,
    coalesce(sum(captured_kobo), 0)::bigint AS captured_kobo,
    coalesce(sum(tickets_kobo), 0)::bigint AS ticketed_kobo,
    coalesce(sum(refunded_kobo), 0)::bigint AS refunded_kobo,
    coalesce(sum(settled_kobo), 0)::bigint AS settled_kobo,
    coalesce(sum(open_kobo + owed_kobo), 0)::bigint AS open_kobo,
    coalesce(sum(charge_balances.fees_kobo), 0)::bigint AS fees_kobo,
    count(*) AS charges,
    count(*) FILTER (
        WHERE coalesce(captured_kobo, 0) <> charges.amount_kobo
           OR captured_kobo <> tickets_kobo + refunded_kobo + settled_kobo + open_kobo + owed_kobo
           OR least(tickets_kobo, refunded_kobo, settled_kobo, open_kobo, owed_kobo) < 0
    ) AS wrong_charges
FROM charges
LEFT JOIN charge_balances USING (charge_id)
LEFT JOIN payments ON payments.order_id = charges.order_id
WHERE verdict <> 'foreign'
GROUP BY event_id, charges.currency
ORDER BY event_id NULLS LAST, currency;
