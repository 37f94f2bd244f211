-- How many open cases there are of each kind, the money in them and the age of the oldest.
SELECT kind, currency, count(*) AS cases, sum(open_kobo)::bigint AS amount_kobo,
       extract(epoch FROM app_now() - min(opened_at))::float8 AS oldest_seconds
FROM open_cases
GROUP BY kind, currency;
