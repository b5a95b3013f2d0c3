-- Money that bought no tickets, or whose tickets were taken back. The transaction that finds this
-- out writes the row, so that none is missing.
CREATE TABLE {{ schema }}.refunds (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    ticket_ids uuid[] NOT NULL DEFAULT '{}',
    amount_in_cents bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    status text NOT NULL DEFAULT 'due',
    payment_provider text,
    payment_event_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    CONSTRAINT refunds_pkey PRIMARY KEY (id, show_id),
    CONSTRAINT refunds_order_id_show_id_fkey
    FOREIGN KEY (order_id, show_id) REFERENCES {{ schema }}.ticket_orders (id, show_id),
    CONSTRAINT refunds_amount_in_cents_check CHECK (amount_in_cents > 0),
    CONSTRAINT refunds_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT refunds_reason_check CHECK (
        reason IN (
            'late_payment', 'double_payment', 'amount_mismatch', 'show_cancelled',
            'tickets_cancelled', 'dispute'
        )
    ),
    CONSTRAINT refunds_status_check CHECK (status IN ('due', 'done')),
    CONSTRAINT refunds_payment_provider_check CHECK (length(payment_provider) <= 200),
    CONSTRAINT refunds_payment_event_id_check CHECK (length(payment_event_id) <= 200),
    CONSTRAINT refunds_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT refunds_done_at_check
    CHECK ((status = 'done') = (done_at IS NOT NULL) AND isfinite(done_at))
);

CREATE INDEX refunds_order_id_show_id_idx ON {{ schema }}.refunds (order_id, show_id);

-- Contains due refunds only.
CREATE INDEX refunds_reason_currency_created_at_idx
ON {{ schema }}.refunds (reason, currency, created_at) WHERE status = 'due';

COMMENT ON TABLE {{ schema }}.refunds IS
'Refunds, due and done: the one list of what is owed. Every payment that bought no tickets has a '
'row, and so have tickets that were taken back. record_refund() settles a row; refund_order() '
'settles that of an order in refund_due, and writes one that is done for a paid order.';
COMMENT ON COLUMN {{ schema }}.refunds.id IS 'Key, together with show_id.';
COMMENT ON COLUMN {{ schema }}.refunds.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.refunds.order_id IS 'The order that the payment was for.';
COMMENT ON COLUMN {{ schema }}.refunds.ticket_ids IS
'The tickets that were taken back; empty if the payment bought none.';
COMMENT ON COLUMN {{ schema }}.refunds.amount_in_cents IS
'The amount to give back, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.refunds.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.refunds.reason IS
'late_payment: the seats were gone; double_payment: the order was paid already; amount_mismatch: '
'not the amount of the order; show_cancelled; tickets_cancelled; dispute: the bank took the money '
'back.';
COMMENT ON COLUMN {{ schema }}.refunds.status IS 'due: owed to the buyer; done: given back.';
COMMENT ON COLUMN {{ schema }}.refunds.payment_provider IS
'The payment provider, such as stripe; NULL if there was none.';
COMMENT ON COLUMN {{ schema }}.refunds.payment_event_id IS
'The provider''s event of the payment, as in payment_events.';
COMMENT ON COLUMN {{ schema }}.refunds.created_at IS 'When it was found to be due.';
COMMENT ON COLUMN {{ schema }}.refunds.done_at IS 'When it was recorded as given back.';
COMMENT ON CONSTRAINT refunds_pkey ON {{ schema }}.refunds IS
'Starts with id, which serves look-ups by id alone; show_id excludes references across shows.';
COMMENT ON CONSTRAINT refunds_order_id_show_id_fkey ON {{ schema }}.refunds IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT refunds_amount_in_cents_check ON {{ schema }}.refunds IS 'More than nothing.';
COMMENT ON CONSTRAINT refunds_currency_check ON {{ schema }}.refunds IS
'A currency code: three capital letters.';
COMMENT ON CONSTRAINT refunds_reason_check ON {{ schema }}.refunds IS 'Only known reasons.';
COMMENT ON CONSTRAINT refunds_status_check ON {{ schema }}.refunds IS 'Only known statuses.';
COMMENT ON CONSTRAINT refunds_payment_provider_check ON {{ schema }}.refunds IS
'At most 200 characters.';
COMMENT ON CONSTRAINT refunds_payment_event_id_check ON {{ schema }}.refunds IS
'At most 200 characters.';
COMMENT ON CONSTRAINT refunds_done_at_check ON {{ schema }}.refunds IS
'Set exactly if it has been given back.';
COMMENT ON INDEX {{ schema }}.refunds_order_id_show_id_idx IS 'Serves the refunds of an order.';
COMMENT ON INDEX {{ schema }}.refunds_reason_currency_created_at_idx IS
'Serves what is due, by reason and currency, and since when.';

{% if manage_roles %}
GRANT SELECT (
    id, show_id, order_id, amount_in_cents, currency, reason, status, payment_provider, created_at,
    done_at
) ON TABLE {{ schema }}.refunds TO {{ monitor_role }};
{% endif %}
