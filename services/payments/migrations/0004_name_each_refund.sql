-- Several refunds of one charge: an organiser gives back single places. What makes a refund one is its charge, its purpose
-- and the id it was asked for under; where there can only be one, that id is zero.

ALTER TABLE refunds
    ADD COLUMN request_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- The tickets it pays back, for the buyer's mail.
    ADD COLUMN numbers jsonb NOT NULL DEFAULT '[]';
ALTER TABLE refunds DROP CONSTRAINT refunds_charge_id_purpose_key;
ALTER TABLE refunds ADD CONSTRAINT refunds_once UNIQUE (charge_id, purpose, request_id);

-- Never more goes back than came. The statements see to it, and this holds where one forgets: the charge's row is the lock
-- of its refunds' sum. A failed refund is no refund, since its money came back.
CREATE FUNCTION refunds_within_charge() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    charged bigint;
    back    bigint;
BEGIN
    SELECT amount_kobo INTO charged FROM charges WHERE charge_id = NEW.charge_id FOR UPDATE;
    IF charged IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT sum(amount_kobo) INTO back FROM refunds WHERE charge_id = NEW.charge_id AND status <> 'failed';
    IF back > charged THEN
        RAISE EXCEPTION 'refunds of charge % are % kobo, more than its %', NEW.charge_id, back, charged
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_within_charge';
    END IF;
    RETURN NULL;
END;
$$;
CREATE TRIGGER refunds_within_charge AFTER INSERT OR UPDATE OF amount_kobo, charge_id, status ON refunds
    FOR EACH ROW WHEN (NEW.status <> 'failed') EXECUTE FUNCTION refunds_within_charge();
