-- depends: 0010_block_orders

-- Whoever blocks an order, or takes that back, marks its tickets for the next gate pack.
CREATE FUNCTION mark_blocked_pack_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE pack_entries SET is_waiting = true WHERE order_id = NEW.order_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER orders_blocked AFTER UPDATE ON orders
FOR EACH ROW WHEN ((OLD.blocked_at IS NULL) <> (NEW.blocked_at IS NULL)) EXECUTE FUNCTION mark_blocked_pack_entries();
