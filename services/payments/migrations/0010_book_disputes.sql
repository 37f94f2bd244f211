-- Money that a lost dispute took: booked under the dispute's own id, once, whoever enters it.
CREATE TABLE lost_disputes (
    dispute_id  text PRIMARY KEY CHECK (dispute_id ~ '^[0-9]{1,20}$'),
    charge_id   text NOT NULL REFERENCES charges,
    amount_kobo bigint NOT NULL CHECK (amount_kobo > 0),
    currency    text NOT NULL,
    seen_at     timestamptz NOT NULL DEFAULT app_now()
);
CREATE INDEX lost_disputes_charge ON lost_disputes (charge_id);

-- What is open is taken first; what tickets had covered is covered no more, which is a finding that a person decides on.
-- Money that a refund of ours still holds is waited for: Paystack refuses that refund, and it is undone.
CREATE FUNCTION book_lost_disputes(_charge_id text) RETURNS void LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    _one     lost_disputes;
    _balance charge_balances;
    _open    bigint;
BEGIN
    FOR _one IN
        SELECT * FROM lost_disputes
        WHERE charge_id = _charge_id
          AND NOT EXISTS (SELECT FROM journal WHERE kind = 'dispute_lost' AND fact = dispute_id)
        ORDER BY dispute_id
    LOOP
        SELECT * INTO _balance FROM charge_balances WHERE charge_id = _charge_id;
        CONTINUE WHEN _balance.open_kobo + _balance.tickets_kobo < _one.amount_kobo;
        _open := least(_one.amount_kobo, greatest(_balance.open_kobo, 0));
        PERFORM book('dispute_lost', _one.dispute_id, 1, _charge_id, _balance.currency, '{open,tickets,provider}',
                     ARRAY[_open, _one.amount_kobo - _open, -_one.amount_kobo]);
    END LOOP;
END
$$;

CREATE FUNCTION on_lost_dispute() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM charges WHERE charge_id = NEW.charge_id FOR UPDATE;
    PERFORM book_lost_disputes(NEW.charge_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER lost_disputes_booked AFTER INSERT ON lost_disputes FOR EACH ROW EXECUTE FUNCTION on_lost_dispute();

-- After the triggers that book the refund itself: those of one table run in the order of their names.
CREATE FUNCTION on_refund_of_disputed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM book_lost_disputes(NEW.charge_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER refunds_then_disputes AFTER UPDATE ON refunds FOR EACH ROW
    WHEN (refund_phase(OLD.status, OLD.provider_refund_id) <> refund_phase(NEW.status, NEW.provider_refund_id))
    EXECUTE FUNCTION on_refund_of_disputed();

ALTER TABLE findings DROP CONSTRAINT findings_kind_check;
ALTER TABLE findings ADD CONSTRAINT findings_kind_check
    CHECK (kind IN ('amount_differs', 'reversed_elsewhere', 'dispute_lost'));
