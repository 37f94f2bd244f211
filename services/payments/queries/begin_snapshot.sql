-- All sums of one ledger are of the same moment. The first statement of its transaction.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
