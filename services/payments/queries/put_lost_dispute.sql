-- Enter money that a lost dispute took from a charge of ours.
-- $1 dispute id, $2 charge id, $3 amount in kobo, $4 currency
INSERT INTO lost_disputes (dispute_id, charge_id, amount_kobo, currency) VALUES ($1, $2, $3, $4)
ON CONFLICT (dispute_id) DO NOTHING
RETURNING dispute_id;
