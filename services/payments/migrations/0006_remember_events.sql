-- Which event an order's money is for, since the ledger adds up by event; and when its tickets came, since an order that
-- was paid and has no tickets is an open case even where it cost nothing.
ALTER TABLE payments
    ADD COLUMN event_id    uuid,
    ADD COLUMN event_title text,
    ADD COLUMN ticketed_at timestamptz;

-- Whether a free order has its tickets was not written down before: what is paid by now counts as ticketed.
UPDATE payments SET ticketed_at = app_now()
WHERE ticketed_charge_id IS NOT NULL OR (ended = 'paid' AND paid_charge_id IS NULL);

CREATE INDEX payments_without_tickets ON payments (order_id)
WHERE ended = 'paid' AND ticketed_at IS NULL AND ticketed_charge_id IS NULL;
