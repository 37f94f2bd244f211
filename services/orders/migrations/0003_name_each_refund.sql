-- Several refunds of one order, each with its tickets. What one order-wide refund had noted becomes the first of them.

UPDATE orders
SET details = (details - 'revoke_numbers' - 'refund_why') || jsonb_build_object(
    'wanted',
    jsonb_build_array(jsonb_build_object(
        'numbers', details -> 'revoke_numbers',
        'why', coalesce(details ->> 'refund_why', ''),
        'answered', coalesce(details -> 'revoked_numbers', '[]') || coalesce(details -> 'refused_numbers', '[]')
                    @> (details -> 'revoke_numbers')
    ))
)
WHERE jsonb_exists(details, 'revoke_numbers');
