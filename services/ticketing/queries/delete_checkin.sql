-- An admission counts no more, since it was taken back.
-- $1 admission id
DELETE FROM checkins WHERE admission_id = $1;
