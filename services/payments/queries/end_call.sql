-- A call has ended, so that the window it counts in can be said exactly. Never later than it was said to end.
-- $1 id
UPDATE budget_calls SET ends_at = least(ends_at, clock_timestamp()) WHERE id = $1;
