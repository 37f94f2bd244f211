-- The buyer has a page, or needs none any more.
-- $1 order id
DELETE FROM turns WHERE order_id = $1;
