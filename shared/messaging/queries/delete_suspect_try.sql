-- The lone try came back, so the process lives.
-- $1 message id
DELETE FROM suspect_tries WHERE message_id = $1;
