-- Find orders for a person on the telephone, newest first.
-- $1 reference or NULL, $2 e-mail address or NULL, $3 limit
SELECT * FROM orders
WHERE ($1::text IS NULL OR reference = $1) AND ($2::text IS NULL OR lower(email) = lower($2))
ORDER BY created_at DESC
LIMIT $3;
