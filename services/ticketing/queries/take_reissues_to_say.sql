-- Orders whose tickets are due to be told again after one was issued anew; a rival's are passed over. It ends by itself.
-- $1 limit, $2 times in all, $3 first pause in seconds, which doubles, $4 longest pause
WITH due AS (
    SELECT order_id, number
    FROM reissues
    WHERE say_again_at <= app_now()
    ORDER BY say_again_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
)
UPDATE reissues
SET says = says + 1,
    say_again_at = CASE
        WHEN says + 1 < $2 THEN app_now() + make_interval(secs => least($3::float8 * 2 ^ (says + 1), $4::float8))
    END
FROM due
WHERE reissues.order_id = due.order_id AND reissues.number = due.number
RETURNING reissues.order_id;
