-- Enter refunds that another hand made, with what became of them. Money of others is left out, and so is what a call of
-- ours may have made whose answer has not come: that is looked up before it is repeated.
-- $1 Paystack's ids, $2 charge ids, $3 amounts in kobo, $4 currencies, $5 statuses, $6 seconds until the next look
INSERT INTO outside_refunds AS known (provider_refund_id, charge_id, amount_kobo, currency, status, look_at)
SELECT listed.id, listed.charge_id, listed.amount_kobo, listed.currency, listed.status,
       CASE WHEN listed.status IN ('processed', 'failed') THEN NULL ELSE app_now() + make_interval(secs => $6) END
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[])
    AS listed (id, charge_id, amount_kobo, currency, status)
JOIN charges ON charges.charge_id = listed.charge_id AND verdict <> 'foreign'
WHERE listed.amount_kobo > 0 AND NOT EXISTS (
    SELECT FROM refunds r
    WHERE r.charge_id = listed.charge_id AND r.amount_kobo = listed.amount_kobo AND r.status IN ('sending', 'unknown')
)
ORDER BY listed.charge_id, listed.id
ON CONFLICT (provider_refund_id) DO UPDATE
SET status = excluded.status, look_at = excluded.look_at, looks = known.looks + 1
WHERE known.status <> excluded.status
RETURNING provider_refund_id;
