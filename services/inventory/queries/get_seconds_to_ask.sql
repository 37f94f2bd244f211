-- When the next hold is to be asked about, so that the loop need not poll.
SELECT extract(epoch FROM min(ask_at) - app_now())::float8 FROM holds WHERE status = 'held';
