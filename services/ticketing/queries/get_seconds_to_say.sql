-- Seconds until an order's tickets are told again; null when none waits.
SELECT extract(epoch FROM min(say_again_at) - app_now())::float8 FROM reissues WHERE say_again_at IS NOT NULL;
