-- Count a lone try of a message that may kill its process, before the try: the row outlives the process.
-- $1 message id
INSERT INTO suspect_tries (message_id, tries) VALUES ($1, 1)
ON CONFLICT (message_id) DO UPDATE SET tries = suspect_tries.tries + 1, tried_at = now()
RETURNING tries;
