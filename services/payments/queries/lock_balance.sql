-- What is open of a charge, under the lock of its row: nothing is booked on it meanwhile.
-- $1 charge id
SELECT open_kobo, owed_kobo
FROM (SELECT charge_id FROM charges WHERE charge_id = $1 FOR UPDATE) AS locked
JOIN charge_balances USING (charge_id);
