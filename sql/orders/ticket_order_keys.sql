-- Idempotency keys of orders. A reservation may be ordered with one key and asked for again with
-- another: each key names that order for ever, and never a second one.
CREATE TABLE {{ internal_schema }}.ticket_order_keys (
    idempotency_key text NOT NULL,
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    CONSTRAINT ticket_order_keys_pkey PRIMARY KEY (idempotency_key, show_id),
    CONSTRAINT ticket_order_keys_order_id_show_id_fkey
    FOREIGN KEY (order_id, show_id) REFERENCES {{ schema }}.ticket_orders (id, show_id)
);

-- Without the show, so that the planner does not use it for a look-up by key and show.
CREATE INDEX ticket_order_keys_order_id_idx ON {{ internal_schema }}.ticket_order_keys (order_id);

COMMENT ON TABLE {{ internal_schema }}.ticket_order_keys IS
'Idempotency keys of create_ticket_order(), each with the one order that it names.';
COMMENT ON COLUMN {{ internal_schema }}.ticket_order_keys.idempotency_key IS
'The caller''s name for an attempt to order.';
COMMENT ON COLUMN {{ internal_schema }}.ticket_order_keys.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ internal_schema }}.ticket_order_keys.order_id IS 'The order that it names.';
COMMENT ON CONSTRAINT ticket_order_keys_pkey ON {{ internal_schema }}.ticket_order_keys IS
'A key names one order within a show.';
COMMENT ON CONSTRAINT ticket_order_keys_order_id_show_id_fkey
ON {{ internal_schema }}.ticket_order_keys IS
'The order exists, and is of the same show.';
COMMENT ON INDEX {{ internal_schema }}.ticket_order_keys_order_id_idx IS
'Serves the keys of an order.';
