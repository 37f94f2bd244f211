-- What a gate was answered before.
-- $1 admission id
SELECT code, event_id, outcome, first_gate, first_at FROM refusals WHERE admission_id = $1;
