-- Seconds until an unhandled receipt is taken up; null when there is none.
SELECT extract(epoch FROM min(next_at) - app_now())::float8 FROM receipts WHERE next_at IS NOT NULL;
