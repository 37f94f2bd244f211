-- Add the messages of one transaction; each row is published as it stands.
-- $1 message ids, $2 types, $3 exchanges, $4 routing keys, $5 bodies, $6 numbers of events, $7 suspect flags
INSERT INTO outbox (message_id, type, exchange, routing_key, body, event_count, suspect)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bytea[], $6::integer[], $7::boolean[]);
