-- What this release needs and this database does not have yet: a service that starts first waits for `migrate`.
-- $1 names of all migrations
SELECT name FROM unnest($1::text[]) AS name EXCEPT SELECT migration_id FROM _yoyo_migration ORDER BY 1;
