-- Keep what a gate was answered, so that a repeat is answered the same. No row: it was answered already.
-- $1 admission id, $2 event id, $3 code, $4 outcome, $5 gate, $6 who, $7 asked when, $8 first gate or null,
-- $9 first when or null
INSERT INTO refusals (admission_id, event_id, code, outcome, gate, who, asked_at, first_gate, first_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING
RETURNING admission_id;
