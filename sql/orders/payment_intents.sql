-- Payments that were begun for an order before the one that its row names: the buyer changed the
-- means of payment, or came back through another tab. Money may still come from any of them.
CREATE TABLE {{ internal_schema }}.payment_intents (
    payment_intent_id text NOT NULL,
    payment_provider text NOT NULL,
    order_id uuid NOT NULL,
    show_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT payment_intents_pkey
    PRIMARY KEY (payment_intent_id, payment_provider, order_id, show_id),
    CONSTRAINT payment_intents_order_id_show_id_fkey
    FOREIGN KEY (order_id, show_id) REFERENCES {{ schema }}.ticket_orders (id, show_id),
    CONSTRAINT payment_intents_created_at_check CHECK (isfinite(created_at))
);

CREATE INDEX payment_intents_order_id_show_id_idx
ON {{ internal_schema }}.payment_intents (order_id, show_id);

COMMENT ON TABLE {{ internal_schema }}.payment_intents IS
'Earlier payments of an order: those that ticket_orders.payment_intent_id no longer names.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.payment_intent_id IS
'The provider''s id of the payment.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.payment_provider IS
'Who was to take the money; empty where nobody was named.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.order_id IS 'The order it was begun for.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.created_at IS
'When another took its place in the order.';
COMMENT ON CONSTRAINT payment_intents_pkey ON {{ internal_schema }}.payment_intents IS
'Remembered once for each order; serves the look-up by the provider''s id.';
COMMENT ON CONSTRAINT payment_intents_order_id_show_id_fkey
ON {{ internal_schema }}.payment_intents IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT payment_intents_created_at_check
ON {{ internal_schema }}.payment_intents IS 'Finite.';
COMMENT ON INDEX {{ internal_schema }}.payment_intents_order_id_show_id_idx IS
'Serves the payments of an order.';
