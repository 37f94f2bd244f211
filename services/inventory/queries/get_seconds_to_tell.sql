-- When the next cancellation is told again, so that the loop need not poll.
SELECT extract(epoch FROM min(cancel_ask_at) - app_now())::float8 FROM events WHERE cancel_ask_at IS NOT NULL;
