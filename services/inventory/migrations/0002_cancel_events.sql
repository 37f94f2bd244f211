-- A cancelled event: no place of it is given out any more. What becomes of its orders is the orders service's.

ALTER TABLE events
    ADD COLUMN cancelled_at  timestamptz,
    ADD COLUMN cancel_why    text NOT NULL DEFAULT '',
    -- When EventCancelled is repeated; absent once orders has answered.
    ADD COLUMN cancel_ask_at timestamptz,
    ADD COLUMN cancel_asks   integer NOT NULL DEFAULT 0 CHECK (cancel_asks >= 0),
    ADD CHECK (cancelled_at IS NOT NULL OR cancel_ask_at IS NULL);
CREATE INDEX events_to_ask ON events (cancel_ask_at) WHERE cancel_ask_at IS NOT NULL;

-- On the stock row too: whoever has waited for its lock sees the row as it is, but what is joined to it as it was.
ALTER TABLE tiers ADD COLUMN cancelled_at timestamptz;
