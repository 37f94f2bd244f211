-- Paystack does not know the position any more (a cursor that ran out): begin the window again.
-- $1 list, $2 claimant
UPDATE sweeps SET page = 1, cursor = NULL WHERE name = $1 AND claimed_by = $2;
