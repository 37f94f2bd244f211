-- An order whose payment is disputed may have its tickets blocked: not let in, and not revoked either. One mark on the
-- order blocks all its tickets, also those that are issued later, and comes off again when the dispute is won.

ALTER TABLE orders
    ADD COLUMN blocked_at    timestamptz,
    -- The newest word on blocking that was heard; an older one that comes late changes nothing.
    ADD COLUMN block_version integer NOT NULL DEFAULT 0 CHECK (block_version >= 0);
