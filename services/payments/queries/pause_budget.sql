-- Paystack answered 429 all the same (another program under the same key): all replicas wait as long as it says.
-- $1 name, $2 seconds
UPDATE budgets
SET paused_until = greatest(paused_until, clock_timestamp() + make_interval(secs => $2))
WHERE name = $1;
