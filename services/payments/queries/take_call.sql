-- Count one call if the window has room for it; else say in how many seconds it will. A statement of its own after the
-- lock, since it must see what the holder before us wrote.
-- $1 name, $2 limit, $3 seconds of the window, $4 seconds a call can last
WITH spent AS (
    SELECT count(*) AS calls, min(ends_at) AS oldest
    FROM (
        SELECT ends_at FROM budget_calls
        WHERE name = $1 AND ends_at > clock_timestamp() - make_interval(secs => $3)
        ORDER BY ends_at DESC
        LIMIT $2
    ) AS latest
), taken AS (
    INSERT INTO budget_calls (name, ends_at)
    SELECT $1, clock_timestamp() + make_interval(secs => $4) FROM spent WHERE calls < $2
    RETURNING id
)
SELECT
    (SELECT id FROM taken) AS call,
    greatest(extract(epoch FROM oldest - clock_timestamp()) + $3, 0.05)::float8 AS wait_seconds
FROM spent;
