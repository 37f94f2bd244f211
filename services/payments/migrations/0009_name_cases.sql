-- Open cases, cheaply at any volume: each branch reads an index of only what is not covered. One row a charge.

-- What an operator wrote down of a case that no service can close. Kept for ever.
CREATE TABLE settlements (
    case_id     text PRIMARY KEY,
    kind        text NOT NULL,
    charge_id   text,
    order_id    uuid,
    kobo        bigint NOT NULL CHECK (kobo >= 0),
    currency    text,
    reason      text NOT NULL CHECK (length(reason) BETWEEN 3 AND 500),
    settled_by  text NOT NULL,
    settled_at  timestamptz NOT NULL DEFAULT app_now()
);
CREATE TRIGGER settlements_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON settlements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE FUNCTION on_settlement() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM book('settlement', NEW.case_id, 1, NEW.charge_id, NEW.currency, '{open,settled}', ARRAY[NEW.kobo, -NEW.kobo]);
    RETURN NULL;
END
$$;
CREATE TRIGGER settlements_booked AFTER INSERT ON settlements
    FOR EACH ROW WHEN (NEW.kobo > 0) EXECUTE FUNCTION on_settlement();

CREATE INDEX refunds_troubled ON refunds (charge_id) WHERE status IN ('failed', 'needs_attention');
CREATE INDEX refunds_waiting ON refunds (charge_id) WHERE status = 'requested';

DROP VIEW open_cases;
CREATE VIEW open_cases AS
WITH uncovered AS (
    SELECT charge_id, open_kobo, owed_kobo FROM charge_balances WHERE open_kobo <> 0 OR owed_kobo <> 0
), failed AS (
    SELECT DISTINCT ON (charge_id) *
    FROM refunds
    WHERE status = 'failed' AND NOT EXISTS (SELECT FROM settlements WHERE case_id = 'refund_failed:' || refunds.id)
    ORDER BY charge_id, finished_at DESC, id
), taken AS (
    SELECT DISTINCT ON (charge_id) *
    FROM outside_refunds
    WHERE from_tickets_kobo > 0
      AND status <> 'failed'
      -- Once the organiser has given the order back, nothing is left to decide.
      AND NOT EXISTS (
          SELECT FROM refunds r
          WHERE r.charge_id = outside_refunds.charge_id AND r.status = 'processed' AND r.provider_refund_id IS NULL
      )
      AND NOT EXISTS (
          SELECT FROM settlements WHERE case_id = 'refunded_elsewhere:' || outside_refunds.provider_refund_id
      )
    ORDER BY charge_id, provider_refund_id
), judged AS (
    SELECT
        CASE
            WHEN verdict = 'unknown' THEN 'unknown_reference'
            WHEN failed.id IS NOT NULL AND open_kobo > 0 THEN 'refund_failed'
            WHEN attention.id IS NOT NULL THEN 'refund_needs_attention'
            WHEN taken.charge_id IS NOT NULL THEN 'refunded_elsewhere'
            WHEN verdict = 'mismatch' THEN 'mismatch'
            WHEN verdict = 'reversed' THEN 'reversed_elsewhere'
            WHEN open_kobo = 0 THEN 'refund_under_way'
            WHEN answered = 'refund' AND elsewhere.id IS NOT NULL THEN 'reversed_elsewhere'
            WHEN ended = 'paid' AND paid_charge_id = charges.charge_id THEN 'paid_without_tickets'
            ELSE 'charge_without_answer'
        END AS kind,
        charges.charge_id, charges.order_id, charges.reference, charges.amount_kobo, charges.currency,
        coalesce(failed.failure, attention.failure, charges.why) AS why,
        charges.seen_at, failed.id AS failed_id, failed.finished_at, attention.started_at,
        taken.provider_refund_id, taken.seen_at AS taken_at, open_kobo + owed_kobo AS open_kobo
    FROM uncovered
    JOIN charges USING (charge_id)
    LEFT JOIN payments ON payments.order_id = charges.order_id
    LEFT JOIN failed ON failed.charge_id = charges.charge_id
    LEFT JOIN taken ON taken.charge_id = charges.charge_id
    LEFT JOIN LATERAL (
        SELECT * FROM refunds r WHERE r.charge_id = charges.charge_id AND r.status = 'needs_attention' LIMIT 1
    ) AS attention ON true
    LEFT JOIN LATERAL (
        SELECT * FROM refunds r
        WHERE r.order_id = charges.order_id AND r.charge_id = charges.charge_id
          AND r.status = 'processed' AND r.provider_refund_id IS NULL
        LIMIT 1
    ) AS elsewhere ON true
)
SELECT
    kind, charge_id, order_id, reference, amount_kobo, currency, why,
    CASE kind
        WHEN 'refund_failed' THEN finished_at
        WHEN 'refund_needs_attention' THEN started_at
        WHEN 'refunded_elsewhere' THEN taken_at
        ELSE seen_at
    END AS opened_at,
    kind || ':' || CASE kind
        WHEN 'refund_failed' THEN failed_id::text
        WHEN 'refunded_elsewhere' THEN provider_refund_id
        ELSE charge_id
    END AS case_id,
    open_kobo
FROM judged
UNION ALL
-- Refused before any money moved, and the charge is covered otherwise: somebody wanted it back all the same.
SELECT 'refund_failed', failed.charge_id, failed.order_id, failed.reference, failed.amount_kobo, failed.currency,
       failed.failure, failed.finished_at, 'refund_failed:' || failed.id, 0
FROM failed
JOIN charge_balances USING (charge_id)
WHERE open_kobo = 0 AND owed_kobo = 0 AND refunded_kobo + settled_kobo < captured_kobo
UNION ALL
-- The money went back by another hand, and the tickets it paid for are still valid.
SELECT 'refunded_elsewhere', taken.charge_id, charges.order_id, charges.reference, taken.amount_kobo, taken.currency,
       'refunded in the dashboard; its tickets are still valid', taken.seen_at,
       'refunded_elsewhere:' || taken.provider_refund_id, 0
FROM taken
JOIN charges USING (charge_id)
JOIN charge_balances USING (charge_id)
WHERE open_kobo = 0 AND owed_kobo = 0
UNION ALL
SELECT 'refund_without_charge', charge_id, order_id, reference, amount_kobo, currency, why, requested_at,
       'refund_without_charge:' || id, 0
FROM refunds
WHERE status = 'requested' AND NOT EXISTS (SELECT FROM charges WHERE charges.charge_id = refunds.charge_id)
UNION ALL
-- Paid and without tickets, and not seen above: it cost nothing, or the charge that paid it is not here.
SELECT 'paid_without_tickets', paid_charge_id, order_id, order_reference, coalesce(amount_kobo, 0), coalesce(currency, 'NGN'),
       NULL, closed_at, 'paid_without_tickets:' || order_id, 0
FROM payments
WHERE ended = 'paid' AND ticketed_at IS NULL AND ticketed_charge_id IS NULL
  AND NOT EXISTS (SELECT FROM charges WHERE charges.charge_id = paid_charge_id)
UNION ALL
SELECT kind, charge_id, order_id, reference, amount_kobo, charges.currency, findings.why, found_at,
       kind || ':' || charge_id, 0
FROM findings
JOIN charges USING (charge_id)
JOIN charge_balances USING (charge_id)
WHERE closed_at IS NULL AND open_kobo = 0 AND owed_kobo = 0
  AND NOT EXISTS (SELECT FROM settlements WHERE case_id = findings.kind || ':' || findings.charge_id);
