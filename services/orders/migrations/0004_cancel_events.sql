-- Cancelled events, and which orders are theirs. The mark in an order's details says that its turn has come; what is left
-- without it is the work that is left, so whoever goes on after a death needs to know nothing else.

ALTER TABLE orders ADD COLUMN event_id uuid GENERATED ALWAYS AS ((details -> 'event' ->> 'id')::uuid) STORED;

CREATE TABLE cancelled_events (
    event_id     uuid PRIMARY KEY,
    title        text NOT NULL,
    why          text NOT NULL,
    cancelled_at timestamptz NOT NULL,
    heard_at     timestamptz NOT NULL DEFAULT app_now()
);

CREATE INDEX orders_of_event ON orders (event_id);
CREATE INDEX orders_open_of_event ON orders (event_id)
    WHERE status IN ('pending', 'paid', 'refunding') AND NOT jsonb_exists(details, 'event_cancelled');
