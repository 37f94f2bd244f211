-- Take one receipt that had no effect yet; no row when it had, or when a rival holds it.
-- $1 id
SELECT id, body FROM receipts WHERE id = $1 AND handled_at IS NULL FOR UPDATE SKIP LOCKED;
