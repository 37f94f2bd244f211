-- Keep an authentic webhook before it is answered. It waits a moment before a loop takes it: we handle it ourselves next.
-- $1 id, $2 event, $3 reference, $4 body, $5 seconds
INSERT INTO receipts (id, event, reference, body, next_at) VALUES ($1, $2, $3, $4, app_now() + make_interval(secs => $5));
