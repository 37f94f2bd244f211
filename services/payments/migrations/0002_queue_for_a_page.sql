-- Buyers who go to pay wait their turn when Paystack takes no more calls: first come, first served, by all replicas.

-- A call counts from the moment it was allowed until it can no longer arrive: a slow one arrives long after it was
-- counted, and must not meet a later window's calls.
ALTER TABLE budget_calls ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;
ALTER TABLE budget_calls RENAME COLUMN at TO ends_at;
ALTER INDEX budget_calls_at RENAME TO budget_calls_ends_at;

CREATE SEQUENCE turn_places;
CREATE TABLE turns (
    order_id  uuid PRIMARY KEY REFERENCES payments,
    -- The order of arrival. Who was not seen for a while has left, and comes back at the end.
    place     bigint NOT NULL DEFAULT nextval('turn_places'),
    seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- It is this buyer's turn: the call is counted, and nobody has to wait behind it.
    called_at timestamptz,
    -- The place on the page, which only falls: a call that failed brings a buyer back to the front of others.
    shown     integer NOT NULL CHECK (shown >= 1)
);
CREATE INDEX turns_place ON turns (place);
ALTER TABLE turns SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
