-- Tickets of paid orders. An order's row is its lock; it is there from the first message about the order on.

CREATE TABLE orders (
    order_id   uuid PRIMARY KEY,
    issued_at  timestamptz,
    reference  text CHECK (reference ~ '^[23456789A-HJKMNP-Z]{6}$'),
    email      text,
    event_id   uuid,
    event      jsonb,
    charge_id  text,
    created_at timestamptz NOT NULL DEFAULT app_now(),
    -- Before the order is known to be paid, nothing else is known of it.
    CHECK ((issued_at IS NULL) = (reference IS NULL)),
    CHECK ((issued_at IS NULL) = (email IS NULL)),
    CHECK ((issued_at IS NULL) = (event_id IS NULL)),
    CHECK ((issued_at IS NULL) = (event IS NULL)),
    CHECK (issued_at IS NOT NULL OR charge_id IS NULL)
);

CREATE TABLE tickets (
    order_id    uuid NOT NULL REFERENCES orders,
    number      integer NOT NULL CHECK (number BETWEEN 1 AND 20000),
    event_id    uuid NOT NULL,
    tier_id     uuid NOT NULL,
    tier_name   text NOT NULL,
    code        text NOT NULL CONSTRAINT tickets_code_unique UNIQUE,
    qr          text NOT NULL,
    code_key_id text NOT NULL,
    qr_key_id   text NOT NULL,
    status      text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'revoked')),
    issued_at   timestamptz NOT NULL,
    revoked_at  timestamptz,
    PRIMARY KEY (order_id, number),
    CHECK ((status = 'revoked') = (revoked_at IS NOT NULL))
);
CREATE INDEX tickets_event ON tickets (event_id);

-- What was asked to be revoked, kept also when the order is not known yet; the outcome is given once and repeated.
CREATE TABLE revocations (
    order_id   uuid NOT NULL REFERENCES orders,
    number     integer NOT NULL CHECK (number BETWEEN 1 AND 20000),
    outcome    text CHECK (outcome IN ('revoked', 'unknown_number', 'already_admitted')),
    asked_at   timestamptz NOT NULL DEFAULT app_now(),
    settled_at timestamptz,
    PRIMARY KEY (order_id, number),
    CHECK ((outcome IS NULL) = (settled_at IS NULL))
);

-- One row per ticket that was let in: two gates at the same instant admit once. Whoever inserts here locks the
-- ticket's row first, as revoking does, so that a ticket is never both admitted and revoked.
CREATE TABLE checkins (
    order_id    uuid NOT NULL,
    number      integer NOT NULL,
    gate        text NOT NULL,
    admitted_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, number),
    FOREIGN KEY (order_id, number) REFERENCES tickets
);
