-- The tickets that lost disputes had paid for are not valid any more: nothing is left for a person to decide.
-- $1 dispute ids
UPDATE findings
SET closed_at = app_now()
FROM disputes
WHERE disputes.dispute_id = ANY ($1::text[]) AND disputes.status = 'lost' AND disputes.tickets IN ('none', 'revoked')
  AND findings.charge_id = disputes.charge_id AND findings.kind = 'dispute_lost' AND findings.closed_at IS NULL;
