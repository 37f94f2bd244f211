-- What happened to one order's places here, for the operator.
-- $1 order id
SELECT created_at AS at,
       CASE WHEN lines IS NOT NULL THEN 'places were held'
            WHEN status = 'rejected' THEN 'no place was held'
            ELSE 'the order was heard of' END AS what,
       jsonb_strip_nulls(jsonb_build_object('lines', lines, 'total_kobo', total_kobo, 'reason', reason,
                                            'tier_id', tier_id, 'returned', NULLIF(returned, '{}'))) AS facts
FROM holds WHERE order_id = $1
UNION ALL
SELECT changed_at, 'its places are ' || status, '{}' FROM hold_changes WHERE order_id = $1;
