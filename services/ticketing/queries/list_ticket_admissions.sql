-- All admissions of some tickets, whatever came of them. Run with the tickets locked.
-- $1 order ids, $2 numbers
SELECT admissions.admission_id, admissions.event_id, code, order_id, number, admissions.gate, admissions.who, admitted_at,
    is_offline, received_at, undos.admission_id IS NOT NULL AS is_undone
FROM admissions
JOIN unnest($1::uuid[], $2::integer[]) AS given (order_id, number) USING (order_id, number)
LEFT JOIN undos USING (admission_id);
