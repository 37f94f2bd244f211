-- Admissions by their ids.
-- $1 admission ids
SELECT admissions.admission_id, admissions.event_id, code, order_id, number, admissions.gate, admissions.who, admitted_at,
    is_offline, received_at, undos.admission_id IS NOT NULL AS is_undone
FROM admissions
LEFT JOIN undos USING (admission_id)
WHERE admission_id = ANY ($1::uuid[]);
