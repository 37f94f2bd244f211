-- Tickets as a gate asks for them. Run when they are locked, as a statement of its own: the one that waited for the
-- locks still sees what was before.
-- $1 order ids, $2 numbers
SELECT tickets.order_id, tickets.number, tickets.event_id, code, tier_id, tier_name, revoked_at, tickets.issued_at,
    code_key_id, qr_key_id, orders.event, orders.blocked_at, gate_events.opens_at,
    checkins.gate AS first_gate, checkins.admitted_at AS first_at
FROM tickets
JOIN unnest($1::uuid[], $2::integer[]) AS given (order_id, number) USING (order_id, number)
JOIN orders USING (order_id)
LEFT JOIN gate_events ON gate_events.event_id = tickets.event_id
LEFT JOIN checkins ON checkins.order_id = tickets.order_id AND checkins.number = tickets.number;
