-- Orders has heard of these cancellations: they are not repeated any more.
-- $1 event ids
UPDATE events SET cancel_ask_at = NULL WHERE id = ANY ($1::uuid[]);
