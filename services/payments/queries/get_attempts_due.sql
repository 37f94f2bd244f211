-- Seconds until the next attempt is due to be looked up; null when none is.
SELECT extract(epoch FROM min(verify_at) - app_now())::float8 FROM attempts WHERE verify_at IS NOT NULL;
