-- Which of an order's tickets were issued again, and by which request.
-- $1 order id
SELECT order_id, number, new_number, request_key, email, why, asked_by, reissued_at
FROM reissues
WHERE order_id = $1
ORDER BY number;
