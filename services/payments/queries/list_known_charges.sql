-- What we have of charges that Paystack lists, and what explains money of theirs that went back.
-- $1 charge ids
SELECT charges.charge_id, charges.reference, charges.amount_kobo, charges.currency, verdict,
       coalesce(refunded_kobo + owed_kobo, 0) AS explained_kobo
FROM charges
LEFT JOIN charge_balances USING (charge_id)
WHERE charges.charge_id = ANY ($1::text[]);
