-- A page is done: on to the next, or to the end of the window. Guarded by the claimant and by the page, so that a run
-- whose lease was taken over moves nothing.
-- $1 list, $2 claimant, $3 page that is done, $4 its cursor, $5 next page, $6 its cursor, $7 whether the window is done,
-- $8 seconds until the next run
UPDATE sweeps
SET page = CASE WHEN $7 THEN 1 ELSE $5 END,
    cursor = CASE WHEN $7 THEN NULL ELSE $6 END,
    pages = pages + 1,
    swept_to = CASE WHEN $7 THEN greatest(swept_to, window_to) ELSE swept_to END,
    deep_at = CASE WHEN $7 AND is_deep THEN window_to ELSE deep_at END,
    next_at = CASE WHEN $7 AND next_at <= window_to THEN app_now() + make_interval(secs => $8) ELSE next_at END,
    window_from = CASE WHEN $7 THEN NULL ELSE window_from END,
    window_to = CASE WHEN $7 THEN NULL ELSE window_to END
WHERE name = $1 AND claimed_by = $2 AND page = $3 AND cursor IS NOT DISTINCT FROM $4
RETURNING name;
