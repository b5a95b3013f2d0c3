-- Payments that were begun for an order before the one that it names now: the buyer changed the
-- means of payment, or came back in another tab. Money may still arrive from any of them.
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
'The payment provider; empty if none was named.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.order_id IS
'The order that it was begun for.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ internal_schema }}.payment_intents.created_at IS
'When another payment replaced it in the order.';
COMMENT ON CONSTRAINT payment_intents_pkey ON {{ internal_schema }}.payment_intents IS
'Each is kept once for each order. Serves the look-up by the provider''s id.';
COMMENT ON CONSTRAINT payment_intents_order_id_show_id_fkey
ON {{ internal_schema }}.payment_intents IS
'The order exists, and is of the same show.';
COMMENT ON INDEX {{ internal_schema }}.payment_intents_order_id_show_id_idx IS
'Serves the payments of an order.';
