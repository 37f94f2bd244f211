-- A mail that an operator sends again is a row of its own: one more sending of the first.

ALTER TABLE mails
    ADD COLUMN first_id uuid REFERENCES mails (id),
    ADD COLUMN sending integer NOT NULL DEFAULT 1 CHECK (sending >= 1),
    ADD CHECK ((first_id IS NULL) = (sending = 1)),
    ADD UNIQUE (first_id, sending),
    -- Replaced: another sending, to another address, goes instead.
    DROP CONSTRAINT mails_status_check,
    ADD CONSTRAINT mails_status_check CHECK (status IN ('waiting', 'sent', 'failed', 'replaced'));

-- What a person has to look at is little, and is found among millions.
CREATE INDEX mails_failed ON mails (ended_at) WHERE status = 'failed';
