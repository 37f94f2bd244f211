-- Seconds until the next PaymentConfirmed is repeated; null when none waits.
SELECT extract(epoch FROM min(ask_at) - app_now())::float8 FROM charges WHERE ask_at IS NOT NULL;
