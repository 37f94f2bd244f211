-- What had been found of these charges is explained by now.
-- $1 kind, $2 charge ids
UPDATE findings SET closed_at = app_now() WHERE kind = $1 AND charge_id = ANY ($2::text[]) AND closed_at IS NULL;
