-- One row for each mail, known by what it is about. Its text is made from data when it is sent.

CREATE TABLE mails (
    id            uuid PRIMARY KEY,
    order_id      uuid NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('tickets', 'expired', 'refund_started', 'refunded', 'refund_failed')),
    key           text NOT NULL,
    email         text NOT NULL,
    data          jsonb NOT NULL,
    traceparent   text,
    status        text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'sent', 'failed')),
    created_at    timestamptz NOT NULL DEFAULT app_now(),
    due_at        timestamptz NOT NULL DEFAULT app_now(),
    tries         integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    claimed_by    uuid,
    claimed_until timestamptz,
    last_error    text,
    ended_at      timestamptz,
    UNIQUE (order_id, kind, key),
    CHECK ((status = 'waiting') = (ended_at IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK (status = 'waiting' OR claimed_by IS NULL),
    CHECK (status <> 'failed' OR last_error IS NOT NULL)
);

-- Only what waits is in it, so a claim costs the same however many mails were ever sent.
CREATE INDEX mails_waiting ON mails (due_at, id) WHERE status = 'waiting';

-- Which tickets were in a mail: a repeated list, or one that lost a revoked ticket, is not mailed again.
CREATE TABLE mailed_tickets (
    order_id uuid NOT NULL,
    number   integer NOT NULL,
    PRIMARY KEY (order_id, number)
);

ALTER TABLE mails SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
