-- Which of these refunds at Paystack are ours: by Paystack's id, or by our own in the note.
-- $1 Paystack's ids, $2 our ids from their notes (null: none)
SELECT listed.provider_refund_id
FROM unnest($1::text[], $2::uuid[]) AS listed (provider_refund_id, id)
WHERE EXISTS (SELECT FROM refunds WHERE refunds.provider_refund_id = listed.provider_refund_id)
   OR EXISTS (SELECT FROM refunds WHERE refunds.id = listed.id);
