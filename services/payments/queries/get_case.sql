-- One open case; no row when there is none of that id, or none any more.
-- $1 case id
SELECT * FROM open_cases WHERE case_id = $1 LIMIT 1;
