-- Keep admissions. One that is known already stays as it came first.
-- $1 admission ids, $2 event ids, $3 codes, $4 order ids or null, $5 numbers or null, $6 gates, $7 who, $8 when,
-- $9 whether without internet
INSERT INTO admissions (admission_id, event_id, code, order_id, number, gate, who, admitted_at, is_offline)
SELECT given.*, $9::boolean
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::integer[], $6::text[], $7::text[], $8::timestamptz[])
    AS given (admission_id, event_id, code, order_id, number, gate, who, admitted_at)
ORDER BY admission_id
ON CONFLICT DO NOTHING
RETURNING admission_id;
