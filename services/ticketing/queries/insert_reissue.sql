-- Write down who had a ticket issued again, and when the order's tickets are told once more.
-- $1 order id, $2 number, $3 new number, $4 key of the request, $5 e-mail address, $6 why, $7 role, $8 now,
-- $9 seconds until it is told again
INSERT INTO reissues (order_id, number, new_number, request_key, email, why, asked_by, reissued_at, say_again_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, app_now() + make_interval(secs => $9));
