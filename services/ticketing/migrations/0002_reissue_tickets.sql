-- A ticket may be issued again: to another holder, or for one that was lost. Its place stays, its number is new.

-- A place has the number of its first ticket. The address is its holder's, where that is not the order's.
ALTER TABLE tickets ADD COLUMN place integer, ADD COLUMN email text;
UPDATE tickets SET place = number;
ALTER TABLE tickets
    ALTER COLUMN place SET NOT NULL,
    ADD CONSTRAINT tickets_place_is_a_number CHECK (place BETWEEN 1 AND number),
    ADD CONSTRAINT tickets_place_exists FOREIGN KEY (order_id, place) REFERENCES tickets;

-- However often a place's ticket is issued again, by whom ever and at the same instant: one of them is valid.
CREATE UNIQUE INDEX tickets_one_valid_a_place ON tickets (order_id, place) WHERE status = 'valid';

-- Each ticket is replaced once; the request's key makes a repeat the same request.
CREATE TABLE reissues (
    order_id     uuid NOT NULL,
    number       integer NOT NULL,
    new_number   integer NOT NULL,
    request_key  text NOT NULL,
    email        text NOT NULL,
    why          text NOT NULL,
    asked_by     text NOT NULL,
    reissued_at  timestamptz NOT NULL,
    -- When the order's tickets are told again, and how often they were: nobody waits for them and would ask.
    say_again_at timestamptz,
    says         integer NOT NULL DEFAULT 0,
    PRIMARY KEY (order_id, number),
    UNIQUE (order_id, new_number),
    FOREIGN KEY (order_id, number) REFERENCES tickets,
    FOREIGN KEY (order_id, new_number) REFERENCES tickets,
    CHECK (new_number > number)
);
CREATE INDEX reissues_to_say ON reissues (say_again_at) WHERE say_again_at IS NOT NULL;
