-- Block the tickets of orders, or let them in again; an older word than the last changes nothing, and gets the same answer.
-- $1 order ids, $2 whether blocked, $3 versions
UPDATE orders
SET blocked_at = CASE
        WHEN given.version <= block_version THEN blocked_at
        WHEN given.blocked THEN coalesce(blocked_at, app_now())
    END,
    block_version = greatest(block_version, given.version)
FROM unnest($1::uuid[], $2::boolean[], $3::integer[]) AS given (order_id, blocked, version)
WHERE orders.order_id = given.order_id
RETURNING orders.order_id, blocked_at IS NOT NULL AS blocked, block_version AS version;
