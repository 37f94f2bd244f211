-- Count one call if the window has room for it; else say in how many seconds it will. A statement of its own after the
-- lock, since it must see what the holder before us wrote.
-- $1 name, $2 limit, $3 seconds of the window
WITH spent AS (
    SELECT count(*) AS calls, min(at) AS oldest
    FROM (
        SELECT at FROM budget_calls
        WHERE name = $1 AND at > clock_timestamp() - make_interval(secs => $3)
        ORDER BY at DESC
        LIMIT $2
    ) AS latest
), taken AS (
    INSERT INTO budget_calls (name, at) SELECT $1, clock_timestamp() FROM spent WHERE calls < $2 RETURNING at
)
SELECT CASE
    WHEN EXISTS (SELECT FROM taken) THEN 0
    ELSE greatest(extract(epoch FROM oldest - clock_timestamp()) + $3, 0.05)
END::float8 AS wait_seconds
FROM spent;
