-- Lease one list to go on where it was left, or begin a new window when its time has come. A first run is only planned.
-- The true clock for the lease: it guards against a rival, not against time.
-- $1 list, $2 claimant, $3 seconds of the lease, $4 seconds windows overlap, $5 seconds a deep one reaches back,
-- $6 seconds between two deep ones, $7 seconds between two runs
UPDATE sweeps
SET next_at = coalesce(next_at, app_now() + make_interval(secs => $7)),
    is_deep = CASE WHEN window_from IS NULL THEN coalesce(deep_at <= app_now() - make_interval(secs => $6), true) ELSE is_deep END,
    window_to = CASE WHEN next_at IS NULL THEN NULL ELSE coalesce(window_to, app_now()) END,
    window_from = CASE
        WHEN next_at IS NULL OR window_from IS NOT NULL THEN window_from
        WHEN coalesce(deep_at <= app_now() - make_interval(secs => $6), true)
            THEN least(swept_to, app_now()) - make_interval(secs => $5)
        ELSE swept_to - make_interval(secs => $4)
    END,
    claimed_by = $2,
    claimed_until = clock_timestamp() + make_interval(secs => $3)
WHERE name = $1
  AND (window_from IS NOT NULL OR next_at IS NULL OR next_at <= app_now())
  AND (claimed_by = $2 OR claimed_until IS NULL OR claimed_until < clock_timestamp())
RETURNING window_from, window_to, page, cursor;
