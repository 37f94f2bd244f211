-- A supervisor takes an admission back, once; who, where and why stay as they were said first.
-- $1 admission id, $2 gate, $3 who, $4 why
INSERT INTO undos (admission_id, gate, who, why)
VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING admission_id;
