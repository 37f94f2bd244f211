-- One deadline for each order. An end that is heard before the order leaves a row without a deadline.

CREATE TABLE deadlines (
    order_id    uuid PRIMARY KEY,
    expires_at  timestamptz,
    ended       boolean NOT NULL DEFAULT false,
    -- When to say next that the time is over; none once the order has ended.
    due_at      timestamptz,
    times_told  integer NOT NULL DEFAULT 0,
    traceparent text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (ended = (due_at IS NULL)),
    CHECK (ended OR expires_at IS NOT NULL)
) WITH (fillfactor = 80);

-- Only what is still open: an idle tick looks at the first entry, however many orders there were.
CREATE INDEX deadlines_due ON deadlines (due_at) WHERE due_at IS NOT NULL;
