-- Add an event.
-- $1 id, $2 title, $3 venue, $4 start, $5 end, $6 currency
INSERT INTO events (id, title, venue, starts_at, ends_at, currency) VALUES ($1, $2, $3, $4, $5, $6);
