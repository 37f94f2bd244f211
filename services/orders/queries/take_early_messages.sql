-- Take what was heard of orders before they were known.
-- $1 order ids
DELETE FROM early_messages WHERE order_id = ANY ($1::uuid[]) RETURNING message_id, order_id, type, data, traceparent;
