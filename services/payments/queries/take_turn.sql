-- Whether it is this buyer's turn to open a page, and else where he stands and for how long. First come, first served:
-- a call is taken only by whom the calls that are left reach, so that each of those before finds his when his browser
-- comes back. Who was not seen for a while has left: nobody waits for him, and if he comes back it is at the end.
-- Only under the budget's lock may a place be given or a call be counted. Without it, whoever waits already is seen
-- again and told his place; no row when that needs the lock.
-- The true clock, not app_now(): this guards a limit somebody else measures.
-- $1 order id, $2 limit, $3 seconds of the window, $4 seconds a call can last, $5 seconds of patience with who is away,
-- $6 whether the budget is locked
WITH kept AS (
    SELECT place, shown FROM turns WHERE order_id = $1 AND seen_at > clock_timestamp() - make_interval(secs => $5)
), before AS (
    SELECT count(*) AS buyers
    FROM turns
    WHERE order_id <> $1
      AND called_at IS NULL
      AND seen_at > clock_timestamp() - make_interval(secs => $5)
      AND place < coalesce((SELECT place FROM kept), 9223372036854775807)
), spent AS (
    SELECT count(*) AS calls
    FROM budget_calls
    WHERE name = 'initialise' AND ends_at > clock_timestamp() - make_interval(secs => $3)
), paused AS (
    SELECT greatest(extract(epoch FROM paused_until - clock_timestamp()), 0)::float8 AS seconds
    FROM budgets
    WHERE name = 'initialise'
), turn AS (
    -- How many calls have to be free again before the one that is this buyer's; 0 and more means to wait.
    SELECT buyers, calls, seconds AS paused_seconds, (buyers - ($2::bigint - calls)) AS missing
    FROM before, spent, paused
), decided AS (
    SELECT turn.*, missing < 0 AND paused_seconds = 0 AS is_due FROM turn
), freed AS (
    -- The calls that count now are free again one window after they end, in that order; all others begin only now.
    SELECT CASE
        WHEN missing < 0 THEN 0
        ELSE coalesce(
            (
                SELECT extract(epoch FROM ends_at - clock_timestamp())::float8
                FROM budget_calls
                WHERE name = 'initialise' AND ends_at > clock_timestamp() - make_interval(secs => $3)
                ORDER BY ends_at
                OFFSET (SELECT greatest(missing, 0) % $2::bigint FROM decided)
                LIMIT 1
            ),
            0
        ) + $3::float8 * (1 + missing / $2::bigint)
    END AS seconds
    FROM decided
), mine AS (
    INSERT INTO turns AS old (order_id, called_at, shown)
    SELECT $1, CASE WHEN is_due AND $6 THEN clock_timestamp() END, buyers + 1
    FROM decided
    WHERE $6 OR EXISTS (SELECT FROM kept)
    ON CONFLICT (order_id) DO UPDATE SET
        place = CASE WHEN EXISTS (SELECT FROM kept) THEN old.place ELSE excluded.place END,
        shown = CASE WHEN EXISTS (SELECT FROM kept) THEN least(old.shown, excluded.shown) ELSE excluded.shown END,
        seen_at = clock_timestamp(),
        called_at = excluded.called_at
    RETURNING shown
), taken AS (
    INSERT INTO budget_calls (name, ends_at)
    SELECT 'initialise', clock_timestamp() + make_interval(secs => $4) FROM decided WHERE is_due AND $6
    RETURNING id
)
SELECT
    shown AS place,
    is_due,
    (SELECT id FROM taken) AS call,
    greatest(freed.seconds, paused_seconds, 0)::float8 AS wait_seconds
FROM mine, decided, freed;
