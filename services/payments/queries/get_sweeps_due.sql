-- Seconds until a list is swept or a refund by another hand is looked at again; null while that is nobody's plan.
SELECT extract(epoch FROM least(
    (SELECT min(CASE WHEN window_from IS NULL THEN next_at ELSE app_now() END) FROM sweeps),
    (SELECT min(look_at) FROM outside_refunds WHERE look_at IS NOT NULL)
) - app_now())::float8;
