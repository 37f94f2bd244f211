-- A ticket may be issued again under a new number. Lists come in any order: when the newer ticket of a place was mailed,
-- an older one that is heard of later is not. Null in rows from before: the place is the number.

ALTER TABLE mailed_tickets ADD COLUMN place integer;
