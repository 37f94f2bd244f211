-- Codes of tickets of which an admission ought to count that does not: their order was blocked when it became known.
-- $1 seconds: only what became known within these, $2 most
SELECT DISTINCT tickets.code
FROM admissions
JOIN tickets ON tickets.order_id = admissions.order_id AND tickets.number = admissions.number
JOIN orders ON orders.order_id = admissions.order_id
LEFT JOIN checkins ON checkins.order_id = admissions.order_id AND checkins.number = admissions.number
WHERE admissions.received_at > app_now() - make_interval(secs => $1)
    AND tickets.status = 'valid' AND tickets.event_id = admissions.event_id AND orders.blocked_at IS NULL
    AND NOT EXISTS (SELECT FROM undos WHERE undos.admission_id = admissions.admission_id)
    -- The rank of services/ticketing/admissions.py, compared as Python compares it.
    AND (checkins.admission_id IS NULL
        OR (admissions.admitted_at, admissions.gate COLLATE "C", admissions.admission_id)
            < (checkins.admitted_at, checkins.gate COLLATE "C", checkins.admission_id))
LIMIT $2;
