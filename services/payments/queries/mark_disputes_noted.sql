-- Orders knows how these disputes stand, and what has become of their tickets. An older answer changes nothing.
-- $1 dispute ids, $2 statuses, $3 what the tickets are
UPDATE disputes
SET noted_status = noted.status, tickets = noted.tickets, ask_at = NULL
FROM unnest($1::text[], $2::text[], $3::text[]) AS noted (dispute_id, status, tickets)
WHERE disputes.dispute_id = noted.dispute_id AND disputes.status = noted.status;
