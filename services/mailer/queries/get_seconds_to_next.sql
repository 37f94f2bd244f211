-- When the next mail is due, or the next lease runs out; null when no mail waits.
SELECT extract(epoch FROM min(greatest(due_at, claimed_until)) - app_now())::float8
FROM mails
WHERE status = 'waiting';
