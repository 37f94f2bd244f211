-- Admissions that do not count and were not taken back, by kind, for the metrics.
-- $1 seconds: only what became known within these
SELECT CASE
        WHEN admissions.order_id IS NULL THEN 'unknown_ticket'
        WHEN tickets.event_id <> admissions.event_id THEN 'other_event'
        WHEN tickets.status = 'revoked' THEN 'revoked'
        WHEN counting.admission_id IS NULL THEN 'blocked'
        ELSE 'admitted_twice'
    END AS kind,
    count(*) AS conflicts
FROM admissions
LEFT JOIN undos ON undos.admission_id = admissions.admission_id
LEFT JOIN tickets ON tickets.order_id = admissions.order_id AND tickets.number = admissions.number
LEFT JOIN checkins AS counting ON counting.order_id = admissions.order_id AND counting.number = admissions.number
WHERE admissions.received_at > app_now() - make_interval(secs => $1)
    AND undos.admission_id IS NULL AND counting.admission_id IS DISTINCT FROM admissions.admission_id
GROUP BY kind;
