-- Admissions of an event that do not count and were not taken back, and the one that counts instead.
-- $1 event id
SELECT admissions.admission_id, admissions.event_id, admissions.code, admissions.order_id, admissions.number,
    admissions.gate, admissions.who, admissions.admitted_at, false AS is_undone,
    tickets.event_id AS ticket_event_id, tickets.revoked_at,
    counting.admission_id AS counting_id, counting.gate AS counting_gate, counting.who AS counting_who,
    counting.admitted_at AS counting_at, counting.event_id AS counting_event_id
FROM admissions
LEFT JOIN undos ON undos.admission_id = admissions.admission_id
LEFT JOIN tickets ON tickets.order_id = admissions.order_id AND tickets.number = admissions.number
LEFT JOIN checkins ON checkins.order_id = admissions.order_id AND checkins.number = admissions.number
LEFT JOIN admissions AS counting ON counting.admission_id = checkins.admission_id
WHERE admissions.event_id = $1 AND undos.admission_id IS NULL
    AND checkins.admission_id IS DISTINCT FROM admissions.admission_id
ORDER BY admissions.admitted_at, admissions.gate, admissions.admission_id;
