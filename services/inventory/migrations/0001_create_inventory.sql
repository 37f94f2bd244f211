-- Events, their tiers with the stock, and the places held for orders.

CREATE TABLE events (
    id         uuid PRIMARY KEY,
    title      text NOT NULL CHECK (char_length(title) BETWEEN 1 AND 200),
    venue      text NOT NULL CHECK (char_length(venue) BETWEEN 1 AND 200),
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    currency   text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (ends_at > starts_at)
);

-- The stock table. Promise P1 stands in its CHECK: the database proves it at every commit.
CREATE TABLE tiers (
    id             uuid PRIMARY KEY,
    event_id       uuid NOT NULL REFERENCES events (id),
    name           text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    price_kobo     bigint NOT NULL CHECK (price_kobo = 0 OR price_kobo >= 5000),
    capacity       integer NOT NULL,
    available      integer NOT NULL,
    held           integer NOT NULL DEFAULT 0,
    sold           integer NOT NULL DEFAULT 0,
    max_per_order  integer NOT NULL CHECK (max_per_order BETWEEN 1 AND 1000),
    sale_starts_at timestamptz,
    sale_ends_at   timestamptz,
    version        bigint NOT NULL DEFAULT 1,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT stock_is_whole CHECK (
        available >= 0 AND held >= 0 AND sold >= 0 AND available + held + sold = capacity
    )
) WITH (fillfactor = 50); -- A hot tier is updated thousands of times a second; room on its page keeps that in place.

CREATE INDEX tiers_of_event ON tiers (event_id);

-- One row for each order this service has heard of.
--   held     -> sold | released
--   rejected    nothing was held
--   announced   the order was paid, as far as we heard, before we heard of its creation: a fact, to be met
--   released without lines: the order ended before we heard of its creation, and nothing is to be held for it
CREATE TABLE holds (
    order_id    uuid PRIMARY KEY,
    status      text NOT NULL CHECK (status IN ('held', 'sold', 'released', 'rejected', 'announced')),
    reference   text,
    email       text,
    event       jsonb,
    lines       jsonb,
    total_kobo  bigint CHECK (total_kobo >= 0),
    currency    text,
    reason      text,
    tier_id     uuid,
    expires_at  timestamptz,
    -- Places to be given back in all, and given back so far: {"tier id": places}.
    to_return   jsonb NOT NULL DEFAULT '{}',
    returned    jsonb NOT NULL DEFAULT '{}',
    ask_at      timestamptz,
    asks        integer NOT NULL DEFAULT 0,
    traceparent text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (status NOT IN ('held', 'sold') OR (lines IS NOT NULL AND event IS NOT NULL AND expires_at IS NOT NULL)),
    CHECK (status <> 'rejected' OR reason IS NOT NULL),
    CHECK ((status = 'held') = (ask_at IS NOT NULL))
);

-- Holds that are past their time and of whose order no end was heard.
CREATE INDEX holds_to_ask ON holds (ask_at) WHERE status = 'held';
