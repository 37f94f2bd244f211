-- The call came to nothing: the buyer is back where he stood, before all who came later.
-- $1 order id
UPDATE turns SET called_at = NULL, seen_at = clock_timestamp() WHERE order_id = $1;
