-- Payments, the attempts to pay them, the charges that came of it, their refunds, and every webhook as it arrived.
-- Money is in kobo (the subunit of the row's currency). Rows of attempts, charges, refunds and receipts are never removed.

-- One row an order, made by whichever message comes first. Facts only get added, so the order of arrival leaves no trace.
CREATE TABLE payments (
    order_id           uuid PRIMARY KEY,
    -- From StockReserved; absent while only other messages have come.
    amount_kobo        bigint CHECK (amount_kobo >= 0),
    currency           text CHECK (currency ~ '^[A-Z]{3}$'),
    order_reference    text,
    email              text,
    expires_at         timestamptz,
    traceparent        text,
    -- From here on no page to pay is handed out.
    closed_at          timestamptz,
    -- Paystack is being asked about every attempt until then, at the latest.
    grace_ends_at      timestamptz,
    closing_why        text CHECK (closing_why IN ('deadline', 'declined')),
    deadline_at        timestamptz,
    abandoned_at       timestamptz,
    -- What orders decided.
    ended              text CHECK (ended IN ('paid', 'expired', 'cancelled')),
    paid_charge_id     text CHECK (paid_charge_id ~ '^[0-9]{1,20}$'),
    ticketed_charge_id text CHECK (ticketed_charge_id ~ '^[0-9]{1,20}$'),
    created_at         timestamptz NOT NULL DEFAULT app_now(),
    CHECK ((amount_kobo IS NULL) = (currency IS NULL)),
    CHECK (closed_at IS NOT NULL OR (grace_ends_at IS NULL AND abandoned_at IS NULL AND ended IS NULL)),
    CHECK (paid_charge_id IS NULL OR ended = 'paid'),
    CHECK (amount_kobo <> 0 OR closed_at IS NOT NULL)
);

CREATE TABLE attempts (
    reference         text PRIMARY KEY CHECK (reference ~ '^[A-Za-z0-9.=-]{1,64}$'),
    order_id          uuid NOT NULL REFERENCES payments,
    amount_kobo       bigint NOT NULL CHECK (amount_kobo > 0),
    currency          text NOT NULL,
    -- creating: the call is under way until lease_until. refused: Paystack has no such transaction.
    -- unknown: it may have one, whose page nobody was given.
    status            text NOT NULL CHECK (status IN
        ('creating', 'open', 'refused', 'unknown', 'failed', 'timed_out', 'paid', 'mismatched', 'reversed')),
    authorization_url text,
    access_code       text,
    lease_until       timestamptz,
    opened_at         timestamptz,
    -- When Paystack is asked about it next, how often it was asked in this phase, what it said last.
    verify_at         timestamptz,
    verify_count      integer NOT NULL DEFAULT 0 CHECK (verify_count >= 0),
    provider_status   text,
    -- When Paystack last said "not paid" after the payment was closed.
    denied_at         timestamptz,
    created_at        timestamptz NOT NULL DEFAULT app_now(),
    CHECK (status <> 'open' OR authorization_url IS NOT NULL),
    CHECK (status <> 'creating' OR lease_until IS NOT NULL)
);
-- One page to pay at a time: two clicks cannot open two.
CREATE UNIQUE INDEX attempts_one_open ON attempts (order_id) WHERE status IN ('creating', 'open');
CREATE INDEX attempts_order ON attempts (order_id);
CREATE INDEX attempts_due ON attempts (verify_at) WHERE verify_at IS NOT NULL;

CREATE TABLE charges (
    charge_id   text PRIMARY KEY CHECK (charge_id ~ '^[0-9]{1,20}$'),
    reference   text NOT NULL,
    order_id    uuid REFERENCES payments,
    amount_kobo bigint NOT NULL CHECK (amount_kobo >= 0),
    fees_kobo   bigint,
    currency    text NOT NULL,
    domain      text NOT NULL,
    -- confirmed: as our row says. mismatch: not as our row says, so it goes back. unknown: our prefix, no such row.
    -- foreign: not our prefix. reversed: first heard of when the money had gone back already.
    verdict     text NOT NULL CHECK (verdict IN ('confirmed', 'mismatch', 'unknown', 'foreign', 'reversed')),
    why         text,
    source      text NOT NULL CHECK (source IN ('webhook', 'lookup')),
    paid_at     timestamptz NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT app_now(),
    -- When PaymentConfirmed is repeated; absent once orders has answered.
    ask_at      timestamptz,
    ask_count   integer NOT NULL DEFAULT 0 CHECK (ask_count >= 0),
    answered    text CHECK (answered IN ('paid', 'refund')),
    traceparent text,
    CHECK ((order_id IS NULL) = (verdict IN ('unknown', 'foreign'))),
    CHECK (ask_at IS NULL OR (verdict = 'confirmed' AND answered IS NULL)),
    CHECK (verdict <> 'confirmed' OR ask_at IS NOT NULL OR answered IS NOT NULL)
);
CREATE INDEX charges_order ON charges (order_id);
CREATE INDEX charges_reference ON charges (reference);
CREATE INDEX charges_unanswered ON charges (ask_at) WHERE ask_at IS NOT NULL;

CREATE TABLE refunds (
    id                 uuid PRIMARY KEY,
    order_id           uuid NOT NULL REFERENCES payments,
    -- No foreign key: a request for a charge that is not here (a restored backup) waits as an open case.
    charge_id          text NOT NULL CHECK (charge_id ~ '^[0-9]{1,20}$'),
    purpose            text NOT NULL CHECK (purpose IN ('late', 'double', 'mismatch', 'organiser')),
    reference          text NOT NULL,
    amount_kobo        bigint NOT NULL CHECK (amount_kobo > 0),
    currency           text NOT NULL,
    email              text,
    why                text NOT NULL,
    -- requested: nothing sent. sending: a call is or was under way. unknown: it must be looked up before a repeat.
    -- started: Paystack has it. needs_attention: Paystack waits for the customer's account number.
    status             text NOT NULL CHECK (status IN
        ('requested', 'sending', 'unknown', 'started', 'needs_attention', 'processed', 'failed')),
    provider_refund_id text UNIQUE,
    provider_status    text,
    failure            text,
    calls              integer NOT NULL DEFAULT 0 CHECK (calls >= 0),
    tries              integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    next_at            timestamptz,
    claimed_by         uuid,
    claimed_until      timestamptz,
    traceparent        text,
    requested_at       timestamptz NOT NULL DEFAULT app_now(),
    started_at         timestamptz,
    finished_at        timestamptz,
    UNIQUE (charge_id, purpose),
    CHECK ((status IN ('processed', 'failed')) = (finished_at IS NOT NULL)),
    CHECK ((status IN ('processed', 'failed')) = (next_at IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
);
CREATE INDEX refunds_due ON refunds (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX refunds_reference ON refunds (reference);
CREATE INDEX refunds_order ON refunds (order_id);

CREATE TABLE receipts (
    id          uuid PRIMARY KEY,
    event       text,
    reference   text,
    body        bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT app_now(),
    handled_at  timestamptz,
    outcome     text,
    tries       integer NOT NULL DEFAULT 0,
    next_at     timestamptz,
    CHECK ((handled_at IS NULL) = (outcome IS NULL)),
    CHECK ((handled_at IS NULL) = (next_at IS NOT NULL))
);
CREATE INDEX receipts_due ON receipts (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX receipts_reference ON receipts (reference);

-- Calls of Paystack that all replicas may make in one window. The row is the lock; the calls are counted.
CREATE TABLE budgets (
    name         text PRIMARY KEY CHECK (name IN ('initialise', 'verify', 'other')),
    paused_until timestamptz
);
INSERT INTO budgets (name) VALUES ('initialise'), ('verify'), ('other');
CREATE TABLE budget_calls (
    name text NOT NULL REFERENCES budgets,
    at   timestamptz NOT NULL
);
CREATE INDEX budget_calls_at ON budget_calls (name, at);
ALTER TABLE budget_calls SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Money that is covered by neither tickets nor a finished refund, and refunds that need a person. One row a charge.
CREATE VIEW open_cases AS
WITH returned AS (
    SELECT
        charge_id,
        coalesce(sum(amount_kobo) FILTER (WHERE status = 'processed'), 0) AS processed_kobo,
        bool_or(status = 'failed') AS failed,
        bool_or(status = 'needs_attention') AS needs_attention
    FROM refunds
    GROUP BY charge_id
), judged AS (
    SELECT
        charges.*,
        coalesce(processed_kobo, 0) < charges.amount_kobo AS is_kept,
        coalesce(failed, false) AS failed,
        coalesce(needs_attention, false) AS needs_attention,
        payments.ticketed_charge_id IS NOT DISTINCT FROM charge_id AS is_ticketed
    FROM charges
    LEFT JOIN returned USING (charge_id)
    LEFT JOIN payments USING (order_id)
    WHERE verdict <> 'foreign'
)
SELECT
    CASE
        WHEN failed THEN 'refund_failed'
        WHEN needs_attention THEN 'refund_needs_attention'
        WHEN verdict = 'unknown' THEN 'unknown_reference'
        WHEN verdict = 'mismatch' THEN 'mismatch'
        WHEN verdict = 'reversed' THEN 'reversed_elsewhere'
        ELSE 'charge_without_answer'
    END AS kind,
    charge_id, order_id, reference, amount_kobo, currency, why, seen_at AS opened_at
FROM judged
WHERE is_kept AND (failed OR needs_attention OR NOT is_ticketed)
UNION ALL
SELECT 'refund_without_charge', charge_id, order_id, reference, amount_kobo, currency, why, requested_at
FROM refunds
WHERE NOT EXISTS (SELECT FROM charges WHERE charges.charge_id = refunds.charge_id);
