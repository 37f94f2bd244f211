-- Take the budget's lock; the row says nothing else but whether Paystack itself asked for a pause.
-- The true clock, not app_now(): this guards a limit somebody else measures.
-- $1 name
SELECT greatest(extract(epoch FROM paused_until - clock_timestamp()), 0)::float8 AS paused_seconds
FROM budgets
WHERE name = $1
FOR UPDATE;
