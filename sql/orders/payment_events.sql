-- Events that payment providers sent, and our answers: a webhook that is repeated gets the first
-- answer again.
CREATE TABLE {{ schema }}.payment_events (
    provider text NOT NULL,
    event_id text NOT NULL,
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    kind text NOT NULL,
    amount_in_cents bigint,
    success boolean NOT NULL,
    order_status text NOT NULL,
    ticket_ids uuid[] NOT NULL,
    error_code text,
    error_message text,
    created_at timestamptz NOT NULL DEFAULT now(),
    refund_id uuid,
    CONSTRAINT payment_events_pkey PRIMARY KEY (provider, event_id, kind, order_id, show_id),
    CONSTRAINT payment_events_order_id_show_id_fkey
    FOREIGN KEY (order_id, show_id) REFERENCES {{ schema }}.ticket_orders (id, show_id),
    CONSTRAINT payment_events_provider_check
    CHECK (length(provider) <= 200 AND provider ~ '[^[:space:]]'),
    CONSTRAINT payment_events_event_id_check
    CHECK (length(event_id) <= 200 AND event_id ~ '[^[:space:]]'),
    CONSTRAINT payment_events_kind_check
    CHECK (kind IN ('payment', 'failure', 'refund', 'dispute')),
    CONSTRAINT payment_events_error_code_check CHECK (success = (error_code IS NULL)),
    CONSTRAINT payment_events_created_at_check CHECK (isfinite(created_at))
);

CREATE INDEX payment_events_order_id_show_id_idx
ON {{ schema }}.payment_events (order_id, show_id);

-- Rows are appended in the order of time.
CREATE INDEX payment_events_created_at_idx
ON {{ schema }}.payment_events USING brin (created_at) WITH (autosummarize = on);

-- ENABLE ALWAYS, so that session_replication_role = replica does not disable them.
CREATE TRIGGER payment_events_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.payment_events
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'What a provider has reported stays on record.'
);

CREATE TRIGGER payment_events_no_truncate
BEFORE TRUNCATE ON {{ schema }}.payment_events
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'What a provider has reported stays on record.'
);

ALTER TABLE {{ schema }}.payment_events
ENABLE ALWAYS TRIGGER payment_events_append_only;
ALTER TABLE {{ schema }}.payment_events
ENABLE ALWAYS TRIGGER payment_events_no_truncate;

COMMENT ON TABLE {{ schema }}.payment_events IS
'Events of payment providers, each stored once for each order and kind, with the answer that it '
'got. Append-only.';
COMMENT ON COLUMN {{ schema }}.payment_events.provider IS 'The payment provider, such as stripe.';
COMMENT ON COLUMN {{ schema }}.payment_events.event_id IS 'The provider''s id of the event.';
COMMENT ON COLUMN {{ schema }}.payment_events.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.payment_events.order_id IS 'The order that it is about.';
COMMENT ON COLUMN {{ schema }}.payment_events.kind IS
'payment (confirm_payment), failure (fail_payment), refund (record_refund) or dispute '
'(record_dispute): the same payment may first fail and then succeed.';
COMMENT ON COLUMN {{ schema }}.payment_events.amount_in_cents IS
'The amount that came, or of a refund or dispute the amount that went back, in the minor unit of '
'the currency of the order; NULL for a failure.';
COMMENT ON COLUMN {{ schema }}.payment_events.success IS 'The answer: whether it was accepted.';
COMMENT ON COLUMN {{ schema }}.payment_events.order_status IS
'The answer: status of the order after it.';
COMMENT ON COLUMN {{ schema }}.payment_events.ticket_ids IS
'The answer: the tickets issued; of a dispute, those taken back.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_code IS 'The answer: why it was refused.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_message IS
'The answer: the message for the error code.';
COMMENT ON COLUMN {{ schema }}.payment_events.created_at IS 'When it was first received.';
COMMENT ON COLUMN {{ schema }}.payment_events.refund_id IS
'The answer: the row of refunds that a refund or a dispute settled; NULL for other kinds.';
COMMENT ON CONSTRAINT payment_events_pkey
ON {{ schema }}.payment_events IS
'An event is stored once for each order and kind: one transfer may pay for two orders.';
COMMENT ON CONSTRAINT payment_events_order_id_show_id_fkey ON {{ schema }}.payment_events IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT payment_events_provider_check
ON {{ schema }}.payment_events IS 'Not blank, at most 200 characters.';
COMMENT ON CONSTRAINT payment_events_event_id_check
ON {{ schema }}.payment_events IS 'Not blank, at most 200 characters.';
COMMENT ON CONSTRAINT payment_events_kind_check
ON {{ schema }}.payment_events IS 'Only known kinds.';
COMMENT ON CONSTRAINT payment_events_error_code_check ON {{ schema }}.payment_events IS
'A refusal has an error code, and nothing else has.';
COMMENT ON INDEX {{ schema }}.payment_events_order_id_show_id_idx IS
'Serves the events of an order.';
COMMENT ON INDEX {{ schema }}.payment_events_created_at_idx IS
'Serves the reconciliation with a provider: the events of a window of time.';
COMMENT ON TRIGGER payment_events_append_only ON {{ schema }}.payment_events IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER payment_events_no_truncate ON {{ schema }}.payment_events IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    provider, show_id, order_id, kind, amount_in_cents, success, order_status, error_code,
    created_at, refund_id
)
ON TABLE {{ schema }}.payment_events TO {{ monitor_role }};
{% endif %}
