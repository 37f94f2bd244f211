-- A receipt had its effect, in the transaction that holds it.
-- $1 id, $2 outcome
UPDATE receipts SET handled_at = app_now(), outcome = $2, next_at = NULL WHERE id = $1;
