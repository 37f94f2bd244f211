-- What the facts themselves say, without the journal: charges, refunds that arrived, what operators settled, what is open.
SELECT currency, 'captured' AS term, sum(amount_kobo)::bigint AS kobo FROM charges WHERE verdict <> 'foreign' GROUP BY currency
UNION ALL
SELECT currency, 'refunded', sum(amount_kobo)::bigint
FROM (
    SELECT currency, amount_kobo FROM refunds WHERE status = 'processed' AND provider_refund_id IS NOT NULL
    UNION ALL
    SELECT currency, amount_kobo FROM outside_refunds WHERE status = 'processed'
    UNION ALL
    SELECT currency, amount_kobo FROM lost_disputes
) AS arrived
GROUP BY currency
UNION ALL
SELECT currency, 'settled', sum(kobo)::bigint FROM settlements WHERE kobo > 0 GROUP BY currency
UNION ALL
SELECT currency, 'open', sum(open_kobo)::bigint FROM open_cases WHERE open_kobo <> 0 GROUP BY currency;
