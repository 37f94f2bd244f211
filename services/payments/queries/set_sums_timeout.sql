-- Until the end of this transaction a statement may take so long.
-- $1 milliseconds
SELECT set_config('statement_timeout', $1, true);
