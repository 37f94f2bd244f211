-- What happened to one order's tickets here, for the operator. What is told first comes first where times are equal.
-- $1 order id
SELECT issued_at AS at, 'tickets were issued' AS what,
       jsonb_build_object('numbers', jsonb_agg(number ORDER BY number)) AS facts
FROM tickets WHERE order_id = $1 GROUP BY issued_at
UNION ALL
SELECT asked_at, 'tickets were to be revoked',
       jsonb_build_object('numbers', jsonb_agg(number ORDER BY number), 'outcomes', jsonb_agg(outcome ORDER BY number))
FROM revocations WHERE order_id = $1 GROUP BY asked_at
UNION ALL
SELECT revoked_at, 'tickets were revoked', jsonb_build_object('numbers', jsonb_agg(number ORDER BY number))
FROM tickets WHERE order_id = $1 AND revoked_at IS NOT NULL GROUP BY revoked_at
UNION ALL
SELECT received_at, 'a ticket was let in',
       jsonb_build_object('number', number, 'gate', gate, 'who', who, 'admitted_at', admitted_at, 'offline', is_offline)
FROM admissions WHERE order_id = $1;
