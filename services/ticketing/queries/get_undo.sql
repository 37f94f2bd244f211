-- How an admission was taken back.
-- $1 admission id
SELECT admission_id, gate, who, why, undone_at FROM undos WHERE admission_id = $1;
