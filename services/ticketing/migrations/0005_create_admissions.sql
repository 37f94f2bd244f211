-- Check-ins as facts: every admission at every gate, every undo, every refusal. Facts are only ever added. The table
-- checkins says which admission of a ticket counts; it follows from the facts, whatever the order they came in.

CREATE TABLE admissions (
    -- Made by the device, so that a repeat is the same admission.
    admission_id uuid PRIMARY KEY,
    event_id     uuid NOT NULL,
    code         text NOT NULL,
    -- Null: no ticket of this code was ever issued. Only a device without internet lets such a one in.
    order_id     uuid,
    number       integer,
    gate         text NOT NULL,
    who          text NOT NULL,
    -- By the device's clock.
    admitted_at  timestamptz NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT app_now(),
    is_offline   boolean NOT NULL,
    FOREIGN KEY (order_id, number) REFERENCES tickets,
    CHECK ((order_id IS NULL) = (number IS NULL))
);
CREATE INDEX admissions_ticket ON admissions (order_id, number);
CREATE INDEX admissions_event ON admissions (event_id);

CREATE TABLE undos (
    admission_id uuid PRIMARY KEY REFERENCES admissions,
    gate         text NOT NULL,
    who          text NOT NULL,
    why          text NOT NULL,
    undone_at    timestamptz NOT NULL DEFAULT app_now()
);

-- What a gate with internet refused: a repeat under the same id gets the same answer.
CREATE TABLE refusals (
    admission_id uuid PRIMARY KEY,
    event_id     uuid NOT NULL,
    code         text NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('unknown_ticket', 'other_event', 'key_compromised', 'revoked',
        'already_admitted', 'not_valid_yet', 'not_valid_any_more')),
    gate         text NOT NULL,
    who          text NOT NULL,
    asked_at     timestamptz NOT NULL,
    refused_at   timestamptz NOT NULL DEFAULT app_now(),
    first_gate   text,
    first_at     timestamptz,
    CHECK ((outcome = 'already_admitted') = (first_gate IS NOT NULL)),
    CHECK ((first_gate IS NULL) = (first_at IS NULL))
);
CREATE INDEX refusals_code ON refusals (code);

CREATE FUNCTION keep_facts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only ever added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER admissions_are_facts BEFORE UPDATE OR DELETE ON admissions
FOR EACH STATEMENT EXECUTE FUNCTION keep_facts();
CREATE TRIGGER undos_are_facts BEFORE UPDATE OR DELETE ON undos
FOR EACH STATEMENT EXECUTE FUNCTION keep_facts();
CREATE TRIGGER refusals_are_facts BEFORE UPDATE OR DELETE ON refusals
FOR EACH STATEMENT EXECUTE FUNCTION keep_facts();

-- Nothing wrote here before this migration.
ALTER TABLE checkins ADD COLUMN admission_id uuid NOT NULL UNIQUE REFERENCES admissions;
-- A ticket is never both admitted and revoked: its status is part of the reference, and only 'valid' can be referred to.
ALTER TABLE tickets ADD CONSTRAINT tickets_status_unique UNIQUE (order_id, number, status);
ALTER TABLE checkins ADD COLUMN ticket_status text NOT NULL DEFAULT 'valid' CHECK (ticket_status = 'valid');
ALTER TABLE checkins ADD CONSTRAINT checkins_ticket_valid
    FOREIGN KEY (order_id, number, ticket_status) REFERENCES tickets (order_id, number, status);
