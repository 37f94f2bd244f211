-- Orders and their status. Columns are what statements select by and people look for; the rest is in details.

CREATE TABLE orders (
    order_id     uuid PRIMARY KEY,
    reference    text NOT NULL UNIQUE CHECK (reference ~ '^[23456789A-HJKMNP-Z]{6}$'),
    status       text NOT NULL CHECK (
        status IN ('pending', 'rejected', 'paid', 'expired', 'cancelled', 'refunding', 'refunded')
    ),
    version      integer NOT NULL CHECK (version > 0),
    email        text NOT NULL,
    request_hash text NOT NULL,
    total_kobo   bigint CHECK (total_kobo >= 0),
    currency     text CHECK (currency ~ '^[A-Z]{3}$'),
    charge_id    text CHECK (charge_id ~ '^[0-9]{1,20}$'),
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    paid_at      timestamptz,
    ask_at       timestamptz,
    asks         integer NOT NULL DEFAULT 0,
    traceparent  text,
    details      jsonb NOT NULL,
    CHECK (expires_at > created_at),
    CHECK ((total_kobo IS NULL) = (currency IS NULL)),
    CHECK ((paid_at IS NOT NULL) = (status IN ('paid', 'refunding', 'refunded'))),
    -- Paid means priced, and paid by one charge; only what costs nothing is paid without one.
    CHECK (paid_at IS NULL OR (total_kobo IS NOT NULL AND (charge_id IS NOT NULL) = (total_kobo > 0))),
    CHECK (paid_at IS NOT NULL OR charge_id IS NULL),
    CHECK (status <> 'rejected' OR total_kobo IS NULL),
    CHECK (status <> 'pending' OR ask_at IS NOT NULL)
) WITH (fillfactor = 70);

-- Orders that wait for an answer, by when they ask again.
CREATE INDEX orders_to_ask ON orders (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX orders_of_email ON orders (lower(email), created_at);
-- A charge pays for one order only.
CREATE UNIQUE INDEX orders_charge ON orders (charge_id) WHERE charge_id IS NOT NULL;

-- Messages about orders that were not known when they came: facts, to be met when the order is.
CREATE TABLE early_messages (
    message_id  uuid PRIMARY KEY,
    order_id    uuid NOT NULL,
    type        text NOT NULL,
    data        jsonb NOT NULL,
    traceparent text,
    heard_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX early_messages_of_order ON early_messages (order_id);
