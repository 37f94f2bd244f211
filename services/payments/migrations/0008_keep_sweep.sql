-- How far Paystack's lists have been held against our rows. One row a list, and each is the lease of whoever sweeps it.
-- A run that dies leaves its window and position; whoever comes next goes on with the very page it was at.
CREATE TABLE sweeps (
    name         text PRIMARY KEY CHECK (name IN ('transactions', 'refunds')),
    -- The window under way; absent between two runs.
    window_from  timestamptz,
    window_to    timestamptz,
    is_deep      boolean NOT NULL DEFAULT false,
    page         integer NOT NULL DEFAULT 1 CHECK (page >= 1),
    cursor       text,
    -- Everything created before this was seen at least once.
    swept_to     timestamptz,
    deep_at      timestamptz,
    -- Absent before the first service has begun: it waits one interval, as after every run.
    next_at      timestamptz,
    claimed_by   uuid,
    claimed_until timestamptz,
    pages        bigint NOT NULL DEFAULT 0,
    CHECK ((window_from IS NULL) = (window_to IS NULL)),
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
);
INSERT INTO sweeps (name) VALUES ('transactions'), ('refunds');

-- What the sweep found that our rows do not explain, until a later sweep finds it explained.
CREATE TABLE findings (
    kind      text NOT NULL CHECK (kind IN ('amount_differs', 'reversed_elsewhere')),
    charge_id text NOT NULL REFERENCES charges,
    why       text NOT NULL,
    found_at  timestamptz NOT NULL DEFAULT app_now(),
    closed_at timestamptz,
    PRIMARY KEY (kind, charge_id)
);
CREATE INDEX findings_open ON findings (charge_id) WHERE closed_at IS NULL;
