-- When the next order asks, so that the loop need not poll.
SELECT extract(epoch FROM min(ask_at) - app_now())::float8 FROM orders WHERE ask_at IS NOT NULL;
