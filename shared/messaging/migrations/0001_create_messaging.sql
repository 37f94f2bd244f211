-- The outbox row is the message; the inbox remembers the ids of messages whose effects are in this database.

CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id   uuid NOT NULL UNIQUE,
    type         text NOT NULL,
    exchange     text NOT NULL,
    routing_key  text NOT NULL,
    body         bytea NOT NULL CHECK (octet_length(body) <= 1048576),
    event_count  integer NOT NULL CHECK (event_count BETWEEN 1 AND 500),
    suspect      boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    claimed_by   uuid,
    last_error   text,
    sent_at      timestamptz,
    CHECK (sent_at IS NULL OR claimed_by IS NULL)
);

-- Only what waits is in this index, so a claim costs the same however many sent rows are kept.
CREATE INDEX outbox_pending ON outbox (id) WHERE sent_at IS NULL;
-- For taking away sent rows that are past their retention, and for replaying a span of time.
CREATE INDEX outbox_sent ON outbox (sent_at) WHERE sent_at IS NOT NULL;

CREATE TABLE inbox (
    message_id  uuid PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now()
);
-- Ordered, not a block range index: freed space is filled with new rows, and every block would soon hold an old time.
CREATE INDEX inbox_received ON inbox (received_at);

-- A message whose handler may have killed its process is entered here before it is tried alone:
-- the row outlives the process, and the broker's own count cannot tell it from its innocent neighbours.
CREATE TABLE suspect_tries (
    message_id uuid PRIMARY KEY,
    tries      integer NOT NULL CHECK (tries > 0),
    tried_at   timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);

-- The clock of every deadline. A function, so that a test can move the time of one database and nothing else.
CREATE FUNCTION app_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT now()';
