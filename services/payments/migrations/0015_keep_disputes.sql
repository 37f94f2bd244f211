-- Disputes: a customer asks the bank for the money of a charge. Each is kept from whichever word of it comes first, is an
-- open case until it is resolved, and, lost, until its tickets are not valid any more.

CREATE TABLE disputes (
    dispute_id      text PRIMARY KEY CHECK (dispute_id ~ '^[0-9]{1,20}$'),
    -- No foreign keys: it may be about a charge we have not heard of, or one that is none of ours.
    charge_id       text NOT NULL CHECK (charge_id ~ '^[0-9]{1,20}$'),
    order_id        uuid,
    reference       text NOT NULL,
    amount_kobo     bigint NOT NULL CHECK (amount_kobo >= 0),
    currency        text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    -- open: somebody has to answer. unclear: resolved, in words we do not know. won, lost: that is final.
    status          text NOT NULL CHECK (status IN ('open', 'unclear', 'won', 'lost')),
    provider_status text NOT NULL,
    resolution      text,
    category        text,
    due_at          timestamptz,
    opened_at       timestamptz NOT NULL DEFAULT app_now(),
    resolved_at     timestamptz,
    -- What orders last said: which status it knows, and what its tickets are.
    noted_status    text,
    tickets         text CHECK (tickets IN ('none', 'valid', 'blocked', 'revoked', 'partly')),
    ask_at          timestamptz,
    ask_count       integer NOT NULL DEFAULT 0 CHECK (ask_count >= 0),
    CHECK ((status = 'open') = (resolved_at IS NULL)),
    CHECK (ask_at IS NULL OR order_id IS NOT NULL)
);
CREATE INDEX disputes_charge ON disputes (charge_id);
CREATE INDEX disputes_order ON disputes (order_id);
CREATE INDEX disputes_due ON disputes (ask_at) WHERE ask_at IS NOT NULL;
CREATE INDEX disputes_to_look_at ON disputes (charge_id) WHERE status IN ('open', 'unclear', 'lost');

ALTER VIEW open_cases RENAME TO money_cases;
CREATE VIEW open_cases AS
SELECT * FROM money_cases
UNION ALL
SELECT
    CASE status WHEN 'lost' THEN 'dispute_lost' ELSE 'dispute' END,
    charge_id, order_id, reference, amount_kobo, currency,
    CASE status
        WHEN 'open' THEN coalesce(category, 'dispute') || ', to be answered by ' || coalesce(due_at::text, 'nobody knows when')
        WHEN 'unclear' THEN 'resolved as ' || coalesce(resolution, 'nothing') || ', which we do not know'
        ELSE 'the money is gone, and its tickets are still valid'
    END,
    opened_at,
    CASE status WHEN 'lost' THEN 'dispute_lost:' ELSE 'dispute:' END || dispute_id,
    0::bigint
FROM disputes
WHERE status IN ('open', 'unclear', 'lost')
  AND order_id IS NOT NULL
  AND NOT (status = 'lost' AND coalesce(tickets, '') IN ('none', 'revoked'))
  -- The sweep of charges may have found the same.
  AND NOT (status = 'lost' AND EXISTS (
      SELECT FROM findings WHERE kind = 'dispute_lost' AND findings.charge_id = disputes.charge_id AND closed_at IS NULL
  ))
  AND NOT EXISTS (
      SELECT FROM settlements
      WHERE case_id = CASE status WHEN 'lost' THEN 'dispute_lost:' ELSE 'dispute:' END || dispute_id
  );
