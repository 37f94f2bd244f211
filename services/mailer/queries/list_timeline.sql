-- What was mailed about one order, for the operator.
-- $1 order id
SELECT created_at AS at, 'a mail was owed' AS what, jsonb_build_object('kind', kind, 'email', email) AS facts
FROM mails WHERE order_id = $1
UNION ALL
SELECT ended_at, 'the mail is ' || status,
       jsonb_strip_nulls(jsonb_build_object('kind', kind, 'email', email, 'tries', tries, 'last_error', last_error))
FROM mails WHERE order_id = $1 AND ended_at IS NOT NULL;
