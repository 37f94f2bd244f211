-- Orders that are known by now although a message about them was put aside: the two met in mid-transaction.
-- $1 limit
SELECT DISTINCT order_id FROM early_messages JOIN orders USING (order_id) LIMIT $1;
