-- First statement of every handling transaction: which of these messages have had no effect here yet, and the time.
-- A rival that handles the same message makes this wait for its commit, and then see a duplicate.
-- $1 message ids, sorted by the caller so that two rivals wait in the same order
WITH claimed AS (
    INSERT INTO inbox (message_id) SELECT * FROM unnest($1::uuid[]) ON CONFLICT DO NOTHING RETURNING message_id
)
SELECT app_now() AS now, coalesce(array_agg(message_id), '{}') AS claimed FROM claimed;
