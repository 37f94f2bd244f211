-- Let a ticket in, once: of two gates at the same instant one gets no row.
-- $1 order id, $2 number, $3 admission id, $4 gate, $5 when
INSERT INTO checkins (order_id, number, admission_id, gate, admitted_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (order_id, number) DO NOTHING
RETURNING admission_id;
