-- Seconds until orders is told of a dispute again; null when none waits.
SELECT extract(epoch FROM min(ask_at) - app_now())::float8 FROM disputes WHERE ask_at IS NOT NULL;
