-- Everything that gates did with one code, oldest first.
-- $1 event id, $2 code
SELECT 'admitted' AS what, admission_id, gate, who, admitted_at AS at, NULL AS why, is_offline
FROM admissions WHERE event_id = $1 AND code = $2
UNION ALL
SELECT 'undone', admission_id, undos.gate, undos.who, undone_at, why, false
FROM undos JOIN admissions USING (admission_id) WHERE event_id = $1 AND code = $2
UNION ALL
SELECT 'refused', admission_id, gate, who, asked_at, outcome, false
FROM refusals WHERE event_id = $1 AND code = $2
ORDER BY at, what, admission_id;
