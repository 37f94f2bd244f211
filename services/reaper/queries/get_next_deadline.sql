-- When the next deadline is due, so that the reaper wakes for it and not only on its tick.
SELECT min(due_at) AS due_at, extract(epoch FROM min(due_at) - app_now())::float8 AS seconds
FROM deadlines
WHERE due_at IS NOT NULL;
