-- When each order took which status, for whoever asks later what happened to it. One statement writes those of a whole
-- batch; rows are only added. No foreign key: they come from the orders table alone, which is never deleted from.

CREATE TABLE order_changes (
    -- Nothing is unique but this: a record of what happened must never refuse that it happens.
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   uuid NOT NULL,
    version    integer NOT NULL,
    status     text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT app_now()
);
CREATE INDEX order_changes_of_order ON order_changes (order_id);

CREATE FUNCTION keep_order_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO order_changes (order_id, version, status)
    SELECT new_rows.order_id, new_rows.version, new_rows.status
    FROM new_rows
    JOIN old_rows USING (order_id)
    WHERE new_rows.status <> old_rows.status;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_order_changes AFTER UPDATE ON orders
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION keep_order_changes();
