-- Give the lease back, with the position kept.
-- $1 list, $2 claimant
UPDATE sweeps SET claimed_by = NULL, claimed_until = NULL WHERE name = $1 AND claimed_by = $2;
