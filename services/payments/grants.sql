-- What happened to money stays written: the service itself cannot take such rows away.
REVOKE DELETE, TRUNCATE ON payments, attempts, charges, refunds, receipts, outside_refunds, findings, lost_disputes FROM boxoffice_payments;
-- The journal and what operators wrote down only grow; what the journal adds up to is the database's own to write.
REVOKE UPDATE, DELETE, TRUNCATE ON journal, journal_lines, settlements FROM boxoffice_payments;
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON charge_balances FROM boxoffice_payments;
