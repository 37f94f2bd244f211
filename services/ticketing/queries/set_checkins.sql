-- Say which admission of a ticket counts. The foreign key refuses a ticket that is revoked.
-- $1 order ids, $2 numbers, $3 admission ids, $4 gates, $5 when
INSERT INTO checkins (order_id, number, admission_id, gate, admitted_at)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::timestamptz[])
ON CONFLICT (order_id, number) DO UPDATE
SET admission_id = excluded.admission_id, gate = excluded.gate, admitted_at = excluded.admitted_at
WHERE checkins.admission_id <> excluded.admission_id;
