-- Forget calls that no window reaches any more.
-- $1 seconds
DELETE FROM budget_calls WHERE ends_at < clock_timestamp() - make_interval(secs => $1);
