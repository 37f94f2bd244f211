-- Write down what an operator says became of a case; a case is closed once.
-- $1 case id, $2 kind, $3 charge id, $4 order id, $5 kobo, $6 currency, $7 reason, $8 role
INSERT INTO settlements (case_id, kind, charge_id, order_id, kobo, currency, reason, settled_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (case_id) DO NOTHING
RETURNING settled_at;
