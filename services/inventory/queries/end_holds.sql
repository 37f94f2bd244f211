-- End holds: only what is held can end, so a repeat finds nothing.
-- $1 order ids, $2 status (sold or released)
UPDATE holds
SET status = $2, ask_at = NULL
WHERE order_id = ANY ($1::uuid[]) AND status = 'held'
RETURNING order_id, lines, to_return, returned, traceparent;
