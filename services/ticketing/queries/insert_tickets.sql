-- New tickets of orders that are held. A code that exists already is left out and is not returned.
-- $1 order ids, $2 numbers, $3 event ids, $4 tier ids, $5 tier names, $6 codes, $7 QR texts, $8 code key ids,
-- $9 QR key ids, $10 places, $11 holders' e-mail addresses or null, $12 now
INSERT INTO tickets (order_id, number, event_id, tier_id, tier_name, code, qr, code_key_id, qr_key_id, place, email,
    issued_at)
SELECT *, $12::timestamptz
FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::integer[], $11::text[])
ON CONFLICT (code) DO NOTHING
RETURNING order_id, number;
