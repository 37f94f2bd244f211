-- Gate packs: what devices without internet need of an event. No key is in these tables.

-- One row an event; its lock is held while a version is published, so versions come one after the other.
CREATE TABLE gate_events (
    event_id     uuid PRIMARY KEY,
    -- How typed codes are to be checked, and from when tickets are let in (null: some hours before the start).
    wanted_form  text NOT NULL DEFAULT 'hashes' CHECK (wanted_form IN ('hashes', 'key')),
    opens_at     timestamptz,
    -- Fixed with the row: digests that were made under others would fit no code any more.
    salt         bytea NOT NULL CHECK (octet_length(salt) = 16),
    memory_kib   integer NOT NULL CHECK (memory_kib >= 8),
    passes       integer NOT NULL CHECK (passes >= 1),
    version      integer NOT NULL DEFAULT 0 CHECK (version >= 0),
    -- Before it the pack had another form: there is no update from there, only the whole pack.
    base_version integer NOT NULL DEFAULT 0 CHECK (base_version BETWEEN 0 AND version),
    head         jsonb,
    published_at timestamptz,
    CHECK ((version = 0) = (head IS NULL)),
    CHECK ((version = 0) = (published_at IS NULL))
);

-- One row a ticket: what the newest published pack says of it.
CREATE TABLE pack_entries (
    order_id      uuid NOT NULL,
    number        integer NOT NULL,
    event_id      uuid NOT NULL,
    -- The code's memory-hard hash, made once. Null: not made yet.
    digest        bytea CHECK (octet_length(digest) = 8),
    claimed_until timestamptz,
    -- The version in which the entry last changed; null: in none yet.
    version       integer CHECK (version >= 1),
    status        text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'blocked', 'revoked')),
    was_blocked   boolean NOT NULL DEFAULT false,
    -- False: the code's key was compromised when it signed. The QR may still do.
    takes_code    boolean NOT NULL DEFAULT true,
    -- Whether the ticket changed since.
    is_waiting    boolean NOT NULL DEFAULT true,
    PRIMARY KEY (order_id, number),
    FOREIGN KEY (order_id, number) REFERENCES tickets,
    CHECK (version IS NOT NULL OR is_waiting)
);
CREATE INDEX pack_entries_waiting ON pack_entries (event_id) WHERE is_waiting;
CREATE INDEX pack_entries_to_hash ON pack_entries (event_id) WHERE digest IS NULL;
CREATE INDEX pack_entries_version ON pack_entries (event_id, version);
CREATE INDEX orders_event_issued ON orders (event_id, issued_at) WHERE issued_at IS NOT NULL;

-- Whoever issues or revokes tickets, by whatever statement, marks them for the next pack: a pack that forgot one
-- revocation would let that guest in.
CREATE FUNCTION mark_new_pack_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO pack_entries (order_id, number, event_id)
    SELECT order_id, number, event_id FROM fresh ORDER BY order_id, number;
    RETURN NULL;
END
$$;
CREATE TRIGGER tickets_issued AFTER INSERT ON tickets REFERENCING NEW TABLE AS fresh
FOR EACH STATEMENT EXECUTE FUNCTION mark_new_pack_entries();

CREATE FUNCTION mark_changed_pack_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pack_entries SET is_waiting = true WHERE order_id = NEW.order_id AND number = NEW.number;
    RETURN NULL;
END
$$;
CREATE TRIGGER tickets_status_changed AFTER UPDATE ON tickets
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION mark_changed_pack_entry();

-- Tickets that were issued before there were packs.
INSERT INTO pack_entries (order_id, number, event_id) SELECT order_id, number, event_id FROM tickets;
