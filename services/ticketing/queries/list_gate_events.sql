-- Every event of which a pack may be due: its settings, what it is called now, and what was published last.
SELECT gate_events.event_id, wanted_form, opens_at, salt, memory_kib, passes, version, base_version, head,
    newest.event AS event,
    EXISTS (
        SELECT FROM pack_entries WHERE pack_entries.event_id = gate_events.event_id AND is_waiting
    ) AS has_waiting
FROM gate_events
CROSS JOIN LATERAL (
    SELECT event FROM orders
    WHERE orders.event_id = gate_events.event_id AND issued_at IS NOT NULL
    ORDER BY issued_at DESC
    LIMIT 1
) AS newest;
