-- The refunds of these charges.
-- $1 charge ids
SELECT * FROM refunds WHERE charge_id = ANY ($1::text[]) ORDER BY requested_at, id;
