-- The journal: double entry, in kobo, per currency. The database books by itself, in the transaction that writes the
-- fact (a charge, tickets that name it, a refund), so no code can forget it; each fact once; and refuses what does not
-- balance. Nothing in it is ever changed or taken away. docs/adr has why it is built of triggers.
--
-- Accounts; a debit is positive, a credit negative:
--   provider  what Paystack holds for us          fees      what Paystack keeps
--   open      charged, and covered by nothing yet tickets   covered by valid tickets
--   owed      on its way back to the buyer        settled   an operator has said in writing what became of it

CREATE TABLE journal (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('charge', 'fee', 'tickets', 'refund_owed', 'refund_paid', 'refund_undone',
                                            'outside_owed', 'outside_paid', 'outside_undone', 'dispute_lost',
                                            'settlement')),
    -- The key of the fact: a charge's id, a refund's, a case's.
    fact      text NOT NULL,
    -- A refund that failed may be tried again: its second way is another fact.
    turn      integer NOT NULL DEFAULT 1 CHECK (turn >= 1),
    charge_id text NOT NULL CHECK (charge_id ~ '^[0-9]{1,20}$'),
    currency  text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    booked_at timestamptz NOT NULL DEFAULT app_now(),
    -- The transaction that booked it, the only one that may add lines.
    booked_by xid8 NOT NULL DEFAULT pg_current_xact_id(),
    UNIQUE (kind, fact, turn)
);
CREATE TABLE journal_lines (
    entry_id bigint NOT NULL REFERENCES journal,
    account  text NOT NULL CHECK (account IN ('provider', 'fees', 'open', 'owed', 'tickets', 'settled')),
    kobo     bigint NOT NULL CHECK (kobo <> 0),
    PRIMARY KEY (entry_id, account)
);

-- What the journal says of each charge, added up by the trigger below: only its owner may write here. All of
-- captured = open + owed + tickets + refunded + settled, for each charge.
CREATE TABLE charge_balances (
    charge_id     text PRIMARY KEY,
    currency      text NOT NULL,
    captured_kobo bigint NOT NULL,
    fees_kobo     bigint NOT NULL,
    open_kobo     bigint NOT NULL,
    owed_kobo     bigint NOT NULL,
    tickets_kobo  bigint NOT NULL,
    refunded_kobo bigint NOT NULL,
    settled_kobo  bigint NOT NULL
);
-- However many charges there are, only the few that are not covered are in this index.
CREATE INDEX charge_balances_open ON charge_balances (charge_id) WHERE open_kobo <> 0 OR owed_kobo <> 0;

-- Refunds that were made in Paystack's dashboard: found by the sweep, or by a lookup of ours.
CREATE TABLE outside_refunds (
    provider_refund_id text PRIMARY KEY CHECK (provider_refund_id ~ '^[0-9]{1,20}$'),
    charge_id          text NOT NULL REFERENCES charges,
    amount_kobo        bigint NOT NULL CHECK (amount_kobo > 0),
    currency           text NOT NULL,
    status             text NOT NULL,
    -- The part that valid tickets had covered: somebody has to decide what becomes of those.
    from_tickets_kobo  bigint NOT NULL DEFAULT 0,
    seen_at            timestamptz NOT NULL DEFAULT app_now(),
    -- When Paystack is asked what became of it; absent once that is final.
    look_at            timestamptz,
    looks              integer NOT NULL DEFAULT 0
);
CREATE INDEX outside_refunds_charge ON outside_refunds (charge_id);
CREATE INDEX outside_refunds_due ON outside_refunds (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX outside_refunds_from_tickets ON outside_refunds (charge_id) WHERE from_tickets_kobo > 0;

-- --- What the journal refuses -----------------------------------------------------------------------------------

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the journal is never changed: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER journal_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_lines_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON journal_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Who inserts cannot claim another transaction, so nobody adds lines to what was booked before.
CREATE FUNCTION stamp_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.booked_by := pg_catalog.pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER journal_stamped BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION stamp_entry();

CREATE FUNCTION refuse_late_line() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM journal WHERE id = NEW.entry_id AND booked_by = pg_current_xact_id()) THEN
        RAISE EXCEPTION 'entry % was not booked by this transaction', NEW.entry_id
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER journal_lines_in_time BEFORE INSERT ON journal_lines FOR EACH ROW EXECUTE FUNCTION refuse_late_line();

-- At the commit, and once for each row: after SET CONSTRAINTS IMMEDIATE a line more is checked again.
CREATE FUNCTION refuse_unbalanced() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _entry bigint;
    _lines bigint;
    _kobo  numeric;
BEGIN
    IF TG_TABLE_NAME = 'journal' THEN
        _entry := NEW.id;
    ELSE
        _entry := NEW.entry_id;
    END IF;
    SELECT count(*), sum(kobo) INTO _lines, _kobo FROM journal_lines WHERE entry_id = _entry;
    IF _lines < 2 OR _kobo <> 0 THEN
        RAISE EXCEPTION 'entry % does not balance: % lines, sum %', _entry, _lines, _kobo
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER journal_balanced AFTER INSERT ON journal
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced();
CREATE CONSTRAINT TRIGGER journal_lines_balanced AFTER INSERT ON journal_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced();

-- --- What each charge comes to ----------------------------------------------------------------------------------

-- With its owner's rights, since the service's own role may only read the balances.
CREATE FUNCTION add_to_balances() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_RELID <> 'public.journal_lines'::regclass THEN
        RAISE EXCEPTION 'balances are the journal''s alone';
    END IF;
    INSERT INTO charge_balances AS balance
    SELECT
        charge_id,
        min(currency),
        coalesce(sum(kobo) FILTER (WHERE account = 'provider' AND kind = 'charge'), 0),
        coalesce(sum(kobo) FILTER (WHERE account = 'fees'), 0),
        coalesce(-sum(kobo) FILTER (WHERE account = 'open'), 0),
        coalesce(-sum(kobo) FILTER (WHERE account = 'owed'), 0),
        coalesce(-sum(kobo) FILTER (WHERE account = 'tickets'), 0),
        coalesce(-sum(kobo) FILTER (WHERE account = 'provider' AND kind NOT IN ('charge', 'fee')), 0),
        coalesce(-sum(kobo) FILTER (WHERE account = 'settled'), 0)
    FROM fresh
    JOIN journal ON journal.id = fresh.entry_id
    GROUP BY charge_id
    ON CONFLICT (charge_id) DO UPDATE SET
        captured_kobo = balance.captured_kobo + excluded.captured_kobo,
        fees_kobo = balance.fees_kobo + excluded.fees_kobo,
        open_kobo = balance.open_kobo + excluded.open_kobo,
        owed_kobo = balance.owed_kobo + excluded.owed_kobo,
        tickets_kobo = balance.tickets_kobo + excluded.tickets_kobo,
        refunded_kobo = balance.refunded_kobo + excluded.refunded_kobo,
        settled_kobo = balance.settled_kobo + excluded.settled_kobo;
    RETURN NULL;
END
$$;
CREATE TRIGGER journal_lines_add_up AFTER INSERT ON journal_lines
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION add_to_balances();

-- --- What is booked, and when -----------------------------------------------------------------------------------

-- One entry: an amount for each account, those of nothing left out. A fact that is booked already stays as it is.
CREATE FUNCTION book(_kind text, _fact text, _turn integer, _charge_id text, _currency text,
                     _accounts text[], _kobo bigint[])
RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _entry bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM unnest(_kobo) AS kobo WHERE kobo <> 0) THEN
        RETURN;
    END IF;
    INSERT INTO journal (kind, fact, turn, charge_id, currency)
    VALUES (_kind, _fact, _turn, _charge_id, _currency)
    ON CONFLICT (kind, fact, turn) DO NOTHING
    RETURNING id INTO _entry;
    IF _entry IS NOT NULL THEN
        INSERT INTO journal_lines (entry_id, account, kobo)
        SELECT _entry, account, kobo FROM unnest(_accounts, _kobo) AS line (account, kobo) WHERE kobo <> 0;
    END IF;
END
$$;

-- Tickets name the charge: what nothing else has a claim on is theirs. Refunds that failed keep their part open.
CREATE FUNCTION book_tickets(_charge_id text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _balance charge_balances;
    _kobo    bigint;
BEGIN
    SELECT * INTO _balance FROM charge_balances WHERE charge_id = _charge_id;
    SELECT _balance.open_kobo - coalesce(sum(amount_kobo), 0) INTO _kobo
    FROM refunds
    WHERE charge_id = _charge_id AND status = 'failed' AND calls > 0;
    _kobo := greatest(_kobo, 0);
    PERFORM book('tickets', _charge_id, 1, _charge_id, _balance.currency, '{open,tickets}', ARRAY[_kobo, -_kobo]);
END
$$;

-- Where a refund stands: on its way, gone, or undone. One that Paystack calls "fully reversed" without an id of ours was
-- another hand's: that one is booked, not ours.
CREATE FUNCTION refund_phase(_status text, _provider_refund_id text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN _status = 'failed' OR (_status = 'processed' AND _provider_refund_id IS NULL) THEN 'undone'
        WHEN _status = 'processed' THEN 'paid'
        ELSE 'owed'
    END
$$;

-- Move a refund from one phase to the next. What it takes comes from the first of the two accounts as far as that goes,
-- and from the other after that; returns what came from the tickets.
CREATE FUNCTION book_refund(_name text, _fact text, _charge_id text, _amount bigint, _was text, _is text,
                            _tickets_first boolean, _whole boolean)
RETURNS bigint LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _balance charge_balances;
    _turn    integer;
    _tickets bigint := 0;
    _open    bigint := 0;
    _owed    bigint;
BEGIN
    SELECT * INTO _balance FROM charge_balances WHERE charge_id = _charge_id;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    SELECT count(*) + 1 INTO _turn FROM journal WHERE kind = _name || '_undone' AND fact = _fact;
    IF _was IS DISTINCT FROM 'owed' AND _is IN ('owed', 'paid') THEN
        IF _whole AND _balance.open_kobo + _balance.tickets_kobo < _amount THEN
            RETURN 0;
        END IF;
        IF _tickets_first THEN
            _tickets := least(_amount, greatest(_balance.tickets_kobo, 0));
            _open := least(_amount - _tickets, greatest(_balance.open_kobo, 0));
        ELSE
            _open := least(_amount, greatest(_balance.open_kobo, 0));
            _tickets := least(_amount - _open, greatest(_balance.tickets_kobo, 0));
        END IF;
        PERFORM book(_name || '_owed', _fact, _turn, _charge_id, _balance.currency,
                     '{open,tickets,owed}', ARRAY[_open, _tickets, -_open - _tickets]);
    END IF;
    SELECT -sum(kobo) INTO _owed
    FROM journal JOIN journal_lines ON entry_id = id
    WHERE kind = _name || '_owed' AND fact = _fact AND turn = _turn AND account = 'owed';
    IF _is = 'paid' THEN
        PERFORM book(_name || '_paid', _fact, _turn, _charge_id, _balance.currency,
                     '{owed,provider}', ARRAY[coalesce(_owed, 0), -coalesce(_owed, 0)]);
    ELSIF _is = 'undone' THEN
        -- Not back to the tickets: those were revoked before the money was to go.
        PERFORM book(_name || '_undone', _fact, _turn, _charge_id, _balance.currency,
                     ARRAY[CASE _was WHEN 'paid' THEN 'provider' ELSE 'owed' END, 'open'],
                     ARRAY[coalesce(_owed, 0), -coalesce(_owed, 0)]);
    END IF;
    RETURN _tickets;
END
$$;

-- Refunds by another hand take what is open first: that may be what ours could not give back. One that finds too little
-- (a refund of ours holds it) waits until that one is undone.
CREATE FUNCTION book_outside_refunds(_charge_id text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _one     outside_refunds;
    _tickets bigint;
BEGIN
    FOR _one IN
        SELECT * FROM outside_refunds
        WHERE charge_id = _charge_id AND status <> 'failed'
          AND NOT EXISTS (SELECT FROM journal WHERE kind = 'outside_owed' AND fact = provider_refund_id)
    LOOP
        _tickets := book_refund('outside', _one.provider_refund_id, _charge_id, _one.amount_kobo, NULL,
                                CASE _one.status WHEN 'processed' THEN 'paid' ELSE 'owed' END, false, true);
        UPDATE outside_refunds SET from_tickets_kobo = _tickets
        WHERE provider_refund_id = _one.provider_refund_id AND _tickets > 0;
    END LOOP;
END
$$;

CREATE FUNCTION book_own_refund(_one refunds, _was text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _is text := refund_phase(_one.status, _one.provider_refund_id);
BEGIN
    -- One that was refused before anything was sent never held any money.
    IF NOT (_was IS NULL AND _is = 'undone' AND _one.calls = 0) THEN
        IF _was IS NULL AND _is = 'undone' THEN
            PERFORM book_refund('refund', _one.id::text, _one.charge_id, _one.amount_kobo, NULL, 'owed',
                                _one.purpose = 'organiser', false);
        END IF;
        PERFORM book_refund('refund', _one.id::text, _one.charge_id, _one.amount_kobo, _was, _is,
                            _one.purpose = 'organiser', false);
    END IF;
    PERFORM book_outside_refunds(_one.charge_id);
END
$$;

CREATE FUNCTION book_charge(_one charges) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _refund refunds;
BEGIN
    PERFORM book('charge', _one.charge_id, 1, _one.charge_id, _one.currency,
                 '{provider,open}', ARRAY[_one.amount_kobo, -_one.amount_kobo]);
    PERFORM book('fee', _one.charge_id, 1, _one.charge_id, _one.currency,
                 '{fees,provider}', ARRAY[coalesce(_one.fees_kobo, 0), -coalesce(_one.fees_kobo, 0)]);
    IF _one.verdict = 'confirmed' AND EXISTS (
        SELECT FROM payments WHERE order_id = _one.order_id AND ticketed_charge_id = _one.charge_id
    ) THEN
        PERFORM book_tickets(_one.charge_id);
    END IF;
    FOR _refund IN SELECT * FROM refunds WHERE charge_id = _one.charge_id ORDER BY requested_at, id LOOP
        PERFORM book_own_refund(_refund, NULL);
    END LOOP;
END
$$;

-- The charge's row is the lock: two refunds of one charge that end at the same time are booked one after the other.
CREATE FUNCTION on_charge() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM book_charge(NEW);
    RETURN NULL;
END
$$;
CREATE TRIGGER charges_booked AFTER INSERT ON charges
    FOR EACH ROW WHEN (NEW.verdict <> 'foreign') EXECUTE FUNCTION on_charge();

CREATE FUNCTION on_tickets() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM charges
    WHERE charge_id = NEW.ticketed_charge_id AND order_id = NEW.order_id AND verdict = 'confirmed'
    FOR UPDATE;
    IF FOUND THEN
        PERFORM book_tickets(NEW.ticketed_charge_id);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER payments_booked AFTER UPDATE OF ticketed_charge_id ON payments
    FOR EACH ROW WHEN (NEW.ticketed_charge_id IS DISTINCT FROM OLD.ticketed_charge_id) EXECUTE FUNCTION on_tickets();

CREATE FUNCTION on_refund() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM charges WHERE charge_id = NEW.charge_id FOR UPDATE;
    IF FOUND AND TG_OP = 'INSERT' THEN
        PERFORM book_own_refund(NEW, NULL);
    ELSIF FOUND THEN
        PERFORM book_own_refund(NEW, refund_phase(OLD.status, OLD.provider_refund_id));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER refunds_booked_at_first AFTER INSERT ON refunds FOR EACH ROW EXECUTE FUNCTION on_refund();
CREATE TRIGGER refunds_booked AFTER UPDATE ON refunds FOR EACH ROW
    WHEN (refund_phase(OLD.status, OLD.provider_refund_id) <> refund_phase(NEW.status, NEW.provider_refund_id))
    EXECUTE FUNCTION on_refund();

CREATE FUNCTION on_outside_refund() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM charges WHERE charge_id = NEW.charge_id FOR UPDATE;
    PERFORM book_outside_refunds(NEW.charge_id);
    IF TG_OP = 'UPDATE' AND NEW.status IN ('processed', 'failed') AND EXISTS (
        SELECT FROM journal WHERE kind = 'outside_owed' AND fact = NEW.provider_refund_id
    ) THEN
        PERFORM book_refund('outside', NEW.provider_refund_id, NEW.charge_id, NEW.amount_kobo, 'owed',
                            CASE NEW.status WHEN 'processed' THEN 'paid' ELSE 'undone' END, false, true);
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.status = 'failed' AND NEW.from_tickets_kobo > 0 THEN
        -- It came to nothing: the tickets, which nobody revoked, cover the money again.
        PERFORM book('tickets', 'outside ' || NEW.provider_refund_id, 1, NEW.charge_id, NEW.currency,
                     '{open,tickets}', ARRAY[NEW.from_tickets_kobo, -NEW.from_tickets_kobo]);
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER outside_refunds_booked_at_first AFTER INSERT ON outside_refunds
    FOR EACH ROW EXECUTE FUNCTION on_outside_refund();
CREATE TRIGGER outside_refunds_booked AFTER UPDATE OF status ON outside_refunds
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION on_outside_refund();

-- What was there before the journal.
DO $$
DECLARE
    _one charges;
BEGIN
    FOR _one IN SELECT * FROM charges WHERE verdict <> 'foreign' ORDER BY seen_at, charge_id LOOP
        PERFORM book_charge(_one);
    END LOOP;
END
$$;
