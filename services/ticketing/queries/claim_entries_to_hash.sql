-- Tickets whose codes are to be hashed, leased so that two replicas do not hash the same. The lock is let go at once:
-- hashing takes long, and revoking must not wait for it.
-- $1 most, $2 seconds of the lease
UPDATE pack_entries
SET claimed_until = app_now() + make_interval(secs => $2)
FROM (
    SELECT entry.order_id, entry.number, tickets.code, salt, memory_kib, passes
    FROM gate_events
    JOIN pack_entries AS entry ON entry.event_id = gate_events.event_id AND entry.digest IS NULL
    JOIN tickets ON tickets.order_id = entry.order_id AND tickets.number = entry.number AND tickets.status = 'valid'
    WHERE wanted_form = 'hashes' AND (entry.claimed_until IS NULL OR entry.claimed_until < app_now())
    LIMIT $1
    FOR UPDATE OF entry SKIP LOCKED
) AS due
WHERE pack_entries.order_id = due.order_id AND pack_entries.number = due.number
RETURNING due.*;
