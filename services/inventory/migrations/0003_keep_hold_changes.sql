-- When each hold took which status, for whoever asks later what happened to an order. One statement writes those of a
-- whole batch; rows are only added. No foreign key: they come from the holds table alone, which is never deleted from.

CREATE TABLE hold_changes (
    order_id   uuid NOT NULL,
    status     text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT app_now(),
    -- A hold goes forward only, so it takes each status once.
    PRIMARY KEY (order_id, status)
);

CREATE FUNCTION keep_hold_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO hold_changes (order_id, status)
    SELECT new_rows.order_id, new_rows.status
    FROM new_rows
    JOIN old_rows USING (order_id)
    WHERE new_rows.status <> old_rows.status
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_hold_changes AFTER UPDATE ON holds
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION keep_hold_changes();
