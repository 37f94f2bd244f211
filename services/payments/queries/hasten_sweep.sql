-- Paystack has news of money of ours that our own rows do not explain: sweep this list now.
-- $1 list, $2 reference
UPDATE sweeps SET next_at = app_now()
WHERE name = $1 AND EXISTS (SELECT FROM charges WHERE reference = $2 AND verdict <> 'foreign')
RETURNING name;
