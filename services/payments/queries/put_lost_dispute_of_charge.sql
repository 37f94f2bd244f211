-- Book what a lost dispute took, where its charge is one of ours; once, whoever finds it.
-- $1 dispute id, $2 charge id, $3 amount in kobo
INSERT INTO lost_disputes (dispute_id, charge_id, amount_kobo, currency)
SELECT $1, charge_id, $3::bigint, currency FROM charges WHERE charge_id = $2 AND verdict <> 'foreign' AND $3::bigint > 0
ON CONFLICT (dispute_id) DO NOTHING;
