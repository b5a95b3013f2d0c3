-- 0004: Orders, tickets and payments.
-- A template, frozen by `ticketdb revision`.

-- object: orders/ticket_orders.sql sha256=ba3704f36fc769d7a196bd8d08769c17dd248a6034c680e1a15414bb76dd9835
-- Orders: what a buyer has to pay for the seats of a reservation.
CREATE TABLE {{ schema }}.ticket_orders (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    seat_ids uuid[] NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    total_amount_in_cents bigint NOT NULL,
    currency text NOT NULL,
    idempotency_key text,
    payment_provider text,
    payment_intent_id text,
    error_message text,
    cancel_reason text,
    refunded_amount_in_cents bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    paid_at timestamptz,
    CONSTRAINT ticket_orders_pkey PRIMARY KEY (id, show_id),
    CONSTRAINT ticket_orders_idempotency_key_show_id_key UNIQUE (idempotency_key, show_id),
    CONSTRAINT ticket_orders_reservation_id_show_id_fkey
    FOREIGN KEY (reservation_id, show_id) REFERENCES {{ schema }}.seat_reservations (id, show_id),
    CONSTRAINT ticket_orders_seat_ids_check CHECK (
        cardinality(seat_ids) > 0 AND array_position(seat_ids, NULL) IS NULL
    ),
    CONSTRAINT ticket_orders_status_check CHECK (
        status IN ('pending', 'paid', 'failed', 'cancelled', 'refund_due', 'refunded')
    ),
    CONSTRAINT ticket_orders_total_amount_in_cents_check CHECK (
        total_amount_in_cents BETWEEN 0 AND 100000000000000
    ),
    CONSTRAINT ticket_orders_cancel_reason_check CHECK (
        cancel_reason IN ('released', 'changed', 'superseded', 'overdue', 'show_cancelled')
    ),
    CONSTRAINT ticket_orders_refunded_amount_in_cents_check CHECK (
        refunded_amount_in_cents BETWEEN 0 AND GREATEST(total_amount_in_cents, 0)
    ),
    CONSTRAINT ticket_orders_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ticket_orders_idempotency_key_check CHECK (
        length(idempotency_key) <= 200 AND idempotency_key ~ '[^[:space:]]'
    ),
    CONSTRAINT ticket_orders_payment_provider_check CHECK (length(payment_provider) <= 200),
    CONSTRAINT ticket_orders_payment_intent_id_check CHECK (length(payment_intent_id) <= 200),
    CONSTRAINT ticket_orders_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_orders_paid_at_check CHECK (
        (status IN ('paid', 'refund_due', 'refunded')) = (paid_at IS NOT NULL) AND isfinite(paid_at)
    )
);

CREATE UNIQUE INDEX ticket_orders_one_open_per_reservation
ON {{ schema }}.ticket_orders (reservation_id, show_id) WHERE status IN ('pending', 'paid');

CREATE INDEX ticket_orders_reservation_id_show_id_idx
ON {{ schema }}.ticket_orders (reservation_id, show_id);

CREATE INDEX ticket_orders_payment_intent_id_idx
ON {{ schema }}.ticket_orders (payment_intent_id) WHERE payment_intent_id IS NOT NULL;

CREATE INDEX ticket_orders_created_at_idx ON {{ schema }}.ticket_orders (created_at);

-- Contains only orders that were refunded in part.
CREATE INDEX ticket_orders_created_at_refunded_amount_in_cents_idx
ON {{ schema }}.ticket_orders (created_at, refunded_amount_in_cents)
WHERE status = 'paid' AND refunded_amount_in_cents > 0;

CREATE INDEX ticket_orders_created_at_id_idx
ON {{ schema }}.ticket_orders (created_at, id) WHERE status = 'pending';

CREATE INDEX ticket_orders_show_id_idx
ON {{ schema }}.ticket_orders (show_id) WHERE status = 'failed';

CREATE INDEX ticket_orders_created_at_show_id_idx
ON {{ schema }}.ticket_orders (created_at, show_id) WHERE error_message IS NOT NULL;

COMMENT ON TABLE {{ schema }}.ticket_orders IS 'Orders and the state of their payment.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.id IS 'Key, together with show_id.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.reservation_id IS
'The reservation that the order pays for.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.seat_ids IS
'The seats when it was ordered, sorted. A late payment takes exactly these again, or none.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.status IS
'pending: waits for payment; paid: tickets issued; failed: the payment failed, another may '
'succeed; cancelled: see cancel_reason; refund_due: paid, but the seats are gone, the money is '
'owed; refunded: all tickets were taken back, see refunds for the money.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.total_amount_in_cents IS
'The amount to pay, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.idempotency_key IS
'The caller''s name for the attempt that made the order. All keys that name it are in '
'ticket_order_keys.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_provider IS
'The payment provider, such as stripe: the last one that was named, and after the payment the one '
'that it came from.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_intent_id IS
'The provider''s id of the payment: the last one that was named, and after the payment its own. '
'Earlier ones are in payment_intents.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.error_message IS 'Why the last payment failed.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.cancel_reason IS
'Why it was cancelled: released (seats were given back), changed (seats were added), superseded '
'(another order of the hold was paid), overdue (the hold expired without a payment), '
'show_cancelled. Only an overdue order can still be paid, late.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.refunded_amount_in_cents IS
'How much of the payment no longer pays for a ticket: the sum of the refunds of its own payment, '
'due or done, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.created_at IS 'When it was ordered.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.paid_at IS
'When the payment arrived; also set if it has to be given back.';
COMMENT ON CONSTRAINT ticket_orders_pkey ON {{ schema }}.ticket_orders IS
'Starts with id, which serves look-ups by id alone; show_id excludes references across shows.';
COMMENT ON CONSTRAINT ticket_orders_idempotency_key_show_id_key ON {{ schema }}.ticket_orders IS
'A key is used once within a show.';
COMMENT ON CONSTRAINT ticket_orders_reservation_id_show_id_fkey ON {{ schema }}.ticket_orders IS
'The reservation exists, and is of the same show.';
COMMENT ON CONSTRAINT ticket_orders_seat_ids_check
ON {{ schema }}.ticket_orders IS 'At least one seat, and no NULL.';
COMMENT ON CONSTRAINT ticket_orders_status_check
ON {{ schema }}.ticket_orders IS 'Only known statuses.';
COMMENT ON CONSTRAINT ticket_orders_total_amount_in_cents_check ON {{ schema }}.ticket_orders IS
'At most a thousand seats at the highest price.';
COMMENT ON CONSTRAINT ticket_orders_cancel_reason_check
ON {{ schema }}.ticket_orders IS 'Only known reasons.';
COMMENT ON CONSTRAINT ticket_orders_refunded_amount_in_cents_check ON {{ schema }}.ticket_orders IS
'Not more than was paid.';
COMMENT ON CONSTRAINT ticket_orders_currency_check
ON {{ schema }}.ticket_orders IS 'A currency code: three capital letters.';
COMMENT ON CONSTRAINT ticket_orders_idempotency_key_check ON {{ schema }}.ticket_orders IS
'Not blank, and short enough to be indexed.';
COMMENT ON CONSTRAINT ticket_orders_payment_provider_check
ON {{ schema }}.ticket_orders IS 'At most 200 characters.';
COMMENT ON CONSTRAINT ticket_orders_payment_intent_id_check
ON {{ schema }}.ticket_orders IS 'At most 200 characters.';
COMMENT ON CONSTRAINT ticket_orders_paid_at_check ON {{ schema }}.ticket_orders IS
'Set exactly if a payment has arrived.';
COMMENT ON INDEX {{ schema }}.ticket_orders_one_open_per_reservation IS
'A reservation has at most one order that is pending or paid.';
COMMENT ON INDEX {{ schema }}.ticket_orders_reservation_id_show_id_idx IS
'Serves all orders of a reservation, when seats are given back or one of them is paid.';
COMMENT ON INDEX {{ schema }}.ticket_orders_payment_intent_id_idx IS
'Serves the look-up by the provider''s id of the payment.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_idx IS
'Serves payment metrics of the last hours.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_refunded_amount_in_cents_idx IS
'Serves the revenue of a day, minus what was given back.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_id_idx IS
'Serves the cleanup: pending orders.';
COMMENT ON INDEX {{ schema }}.ticket_orders_show_id_idx IS
'Serves the cancellation of a show: failed orders, some of which have no hold any more.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_show_id_idx IS
'Serves the purge of personal data: orders with a message of a provider.';

{% if manage_roles %}
GRANT SELECT (
    id, show_id, reservation_id, seat_ids, status, total_amount_in_cents, currency,
    payment_provider, cancel_reason, refunded_amount_in_cents, created_at, paid_at
) ON TABLE {{ schema }}.ticket_orders TO {{ monitor_role }};
{% endif %}

-- object: orders/ticket_order_keys.sql sha256=8812205e47c3e8db857ce65c8ae1f8075c5663507e99fe7cf1ab5bed37fbee67
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

-- object: orders/payment_intents.sql sha256=0bf00769867803389db1bd10073d6c839ed8a427260978d90c5ef5d4c84b0f04
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

-- object: orders/tickets.sql sha256=b55d0621f471f333fc13dcbb77b9c5ca73fb0564a3010f5e6d855ff16a85ef95
-- Tickets: the right to sit on a seat, issued when an order is paid.
CREATE TABLE {{ schema }}.tickets (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    show_seat_id uuid NOT NULL,
    price_in_cents bigint NOT NULL,
    currency text NOT NULL,
    ticket_code text NOT NULL DEFAULT upper(encode(uuid_send(gen_random_uuid()), 'hex')),
    status text NOT NULL DEFAULT 'valid',
    ticket_type varchar(200),
    checked_in_at timestamptz,
    check_in_gate varchar(200),
    check_in_nonce varchar(200),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tickets_pkey PRIMARY KEY (id, show_id),
    CONSTRAINT tickets_ticket_code_show_id_key UNIQUE (ticket_code, show_id),
    CONSTRAINT tickets_order_id_show_id_fkey
    FOREIGN KEY (order_id, show_id) REFERENCES {{ schema }}.ticket_orders (id, show_id),
    CONSTRAINT tickets_show_seat_id_show_id_fkey
    FOREIGN KEY (show_seat_id, show_id) REFERENCES {{ schema }}.show_seats (id, show_id),
    CONSTRAINT tickets_price_in_cents_check CHECK (price_in_cents BETWEEN 0 AND 100000000000),
    CONSTRAINT tickets_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT tickets_ticket_code_check CHECK (length(ticket_code) BETWEEN 16 AND 200),
    CONSTRAINT tickets_status_check CHECK (status IN ('valid', 'cancelled', 'refunded')),
    CONSTRAINT tickets_checked_in_at_check CHECK (
        (checked_in_at IS NULL) = (check_in_gate IS NULL) AND isfinite(checked_in_at)
    ),
    CONSTRAINT tickets_created_at_check CHECK (isfinite(created_at))
);

CREATE UNIQUE INDEX tickets_one_valid_per_seat
ON {{ schema }}.tickets (show_seat_id, show_id) WHERE status = 'valid';

-- Not partial, since a partial index does not serve a foreign key.
CREATE INDEX tickets_show_seat_id_idx ON {{ schema }}.tickets (show_seat_id);

CREATE INDEX tickets_order_id_show_id_idx ON {{ schema }}.tickets (order_id, show_id);

CREATE INDEX tickets_created_at_idx ON {{ schema }}.tickets (created_at);

COMMENT ON TABLE {{ schema }}.tickets IS 'Tickets of paid orders, one a seat.';
COMMENT ON COLUMN {{ schema }}.tickets.id IS 'Key, together with show_id.';
COMMENT ON COLUMN {{ schema }}.tickets.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.tickets.order_id IS 'The order that paid for it.';
COMMENT ON COLUMN {{ schema }}.tickets.show_seat_id IS 'The seat.';
COMMENT ON COLUMN {{ schema }}.tickets.price_in_cents IS
'What was paid, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.tickets.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.tickets.ticket_code IS
'Secret printed on the ticket, 122 random bits: it admits the person who shows it.';
COMMENT ON COLUMN {{ schema }}.tickets.status IS 'valid, cancelled by the house, or refunded.';
COMMENT ON COLUMN {{ schema }}.tickets.ticket_type IS
'The kind of ticket, such as child: a word of the shop; NULL if it gave none.';
COMMENT ON COLUMN {{ schema }}.tickets.checked_in_at IS
'When its holder was let in; NULL if not yet.';
COMMENT ON COLUMN {{ schema }}.tickets.check_in_gate IS 'Where its holder was let in.';
COMMENT ON COLUMN {{ schema }}.tickets.check_in_nonce IS
'The scanner''s name for that scan: a repeat of it gets the same answer.';
COMMENT ON COLUMN {{ schema }}.tickets.created_at IS 'When it was issued.';
COMMENT ON CONSTRAINT tickets_pkey ON {{ schema }}.tickets IS
'Starts with id, which serves look-ups by id alone; show_id excludes references across shows.';
COMMENT ON CONSTRAINT tickets_ticket_code_show_id_key ON {{ schema }}.tickets IS
'A code identifies one ticket of a show. Serves the look-up at the entrance.';
COMMENT ON CONSTRAINT tickets_order_id_show_id_fkey ON {{ schema }}.tickets IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT tickets_show_seat_id_show_id_fkey ON {{ schema }}.tickets IS
'The seat exists, and is of the same show.';
COMMENT ON CONSTRAINT tickets_price_in_cents_check
ON {{ schema }}.tickets IS 'From 0 to a billion units of a currency with two decimals.';
COMMENT ON CONSTRAINT tickets_currency_check ON {{ schema }}.tickets IS
'A currency code: three capital letters.';
COMMENT ON CONSTRAINT tickets_ticket_code_check
ON {{ schema }}.tickets IS 'Too long to be guessed, at most 200 characters.';
COMMENT ON CONSTRAINT tickets_checked_in_at_check ON {{ schema }}.tickets IS
'A check-in has a time and a gate.';
COMMENT ON CONSTRAINT tickets_status_check ON {{ schema }}.tickets IS 'Only known statuses.';
COMMENT ON INDEX {{ schema }}.tickets_one_valid_per_seat IS
'At most one valid ticket a seat, whatever the code above it does.';
COMMENT ON INDEX {{ schema }}.tickets_show_seat_id_idx IS
'Serves the deletion of seats, and the history of a seat.';
COMMENT ON INDEX {{ schema }}.tickets_order_id_show_id_idx IS 'Serves the tickets of an order.';
COMMENT ON INDEX {{ schema }}.tickets_created_at_idx IS 'Serves the sales of the day.';

{% if manage_roles %}
GRANT SELECT (
    id, show_id, order_id, show_seat_id, price_in_cents, currency, status, ticket_type,
    checked_in_at, check_in_gate, created_at
) ON TABLE {{ schema }}.tickets TO {{ monitor_role }};
{% endif %}

-- object: orders/payment_events.sql sha256=630e0660ab4cddf03d81a592d8074a0fc2ebe721aae5600ae698e27d311a072b
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

-- object: orders/refunds.sql sha256=5d933a30f47c974d1d8e2abcc5447793d316af954343a54d6cb331fe596fabd7
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

-- object: orders/log_order_failure.sql sha256=cf76e24f1bc2d1cb437b5b03ab185bf7879bdfe7ece7b45b823189e9c4efe363
-- Called by the functions that sell: a refusal is a row, since an exception would roll back the row
-- that records it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_order_failure(
    p_function text,
    p_error_code text,
    p_error_message text,
    p_show_id uuid,
    p_order_id uuid DEFAULT NULL,
    p_reservation_id uuid DEFAULT NULL,
    p_session_id text DEFAULT NULL,
    p_old_status text DEFAULT NULL,
    p_amount_in_cents bigint DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    -- An expression, which costs less than PERFORM. The caller's SET lock_timeout restores it.
    IF set_config('lock_timeout', {{ internal_schema }}.time_for_the_log(), true) IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO {{ schema }}.ticket_order_audit_log (
        order_id, reservation_id, show_id, session_id, old_status, amount_in_cents,
        payment_provider, error_code, error_message, metadata
    )
    VALUES (
        p_order_id,
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        p_old_status,
        p_amount_in_cents,
        left(p_payment_provider, 200),
        p_error_code,
        p_error_message,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_order_failure(
    text, text, text, uuid, uuid, uuid, text, text, bigint, text, jsonb
) IS 'Records a refusal of a call about an order in ticket_order_audit_log.';

-- object: orders/lock_order.sql sha256=266090f7b43ffddaba19e268afa851f4c9f6252ea0ef0470bd7935c4f8cf81d2
-- The first step of every call about an order. All functions lock the reservation, then its order,
-- then seats.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_order(p_show_id uuid, p_order_id uuid)
RETURNS {{ schema }}.ticket_orders
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_order {{ schema }}.ticket_orders;
BEGIN
    -- An order never changes its reservation, so this look-up needs no lock.
    PERFORM
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.show_id = p_show_id
        AND hold.id = (
            SELECT found.reservation_id
            FROM {{ schema }}.ticket_orders AS found
            WHERE
                found.show_id = p_show_id
                AND found.id = p_order_id
        )
    FOR UPDATE;

    SELECT locked.*
    INTO v_order
    FROM {{ schema }}.ticket_orders AS locked
    WHERE
        locked.show_id = p_show_id
        AND locked.id = p_order_id
    FOR UPDATE;
    RETURN v_order;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_order(uuid, uuid) IS
'Locks an order and its reservation and returns the present state of the order; a row of NULLs if '
'there is none.';

-- object: orders/lock_orders.sql sha256=3ac760318126e3cdfd32e4c3a9d38459043b4bb6ad6aa3184abb5bf72a55cfaa
-- The first step of calls about several orders of a show. All functions lock reservations, then
-- orders, then seats, each in the order of id. One at a time, since a statement about an array of
-- ids might be planned as a scan of all, while the tables are small.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_orders(p_show_id uuid, p_order_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_reservation_id uuid;
    v_reservation_ids uuid[] := '{}'::uuid[];
    v_id uuid;
BEGIN
    FOREACH v_id IN ARRAY p_order_ids LOOP
        -- An order never changes its reservation, so this look-up needs no lock.
        SELECT found.reservation_id
        INTO v_reservation_id
        FROM {{ schema }}.ticket_orders AS found
        WHERE
            found.show_id = p_show_id
            AND found.id = v_id;
        v_reservation_ids := v_reservation_ids || v_reservation_id;
    END LOOP;

    FOR v_id IN SELECT DISTINCT unnest(v_reservation_ids) ORDER BY 1 LOOP
        PERFORM
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = v_id
        FOR UPDATE;
    END LOOP;

    FOR v_id IN SELECT unnest(p_order_ids) ORDER BY 1 LOOP
        PERFORM
        FROM {{ schema }}.ticket_orders AS locked
        WHERE
            locked.show_id = p_show_id
            AND locked.id = v_id
        FOR UPDATE;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_orders(uuid, uuid[]) IS
'Locks these orders of a show and their reservations.';

-- object: orders/log_order_action.sql sha256=39b3e7e67e4d7c358d75e0e88fec3ecb1e99f5ab795576e38a85bba61c3f296a
-- Called where the status of an order may stay as it is, so that no trigger logs what was done: one
-- line for each call.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_order_action(
    p_function text,
    p_show_id uuid,
    p_order_id uuid DEFAULT NULL,
    p_reservation_id uuid DEFAULT NULL,
    p_old_status text DEFAULT NULL,
    p_amount_in_cents bigint DEFAULT NULL,
    p_currency text DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.ticket_order_audit_log (
        order_id, reservation_id, show_id, old_status, amount_in_cents, currency,
        payment_provider, metadata
    )
    VALUES (
        p_order_id,
        p_reservation_id,
        p_show_id,
        p_old_status,
        p_amount_in_cents,
        p_currency,
        p_payment_provider,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_order_action(
    text, uuid, uuid, uuid, text, bigint, text, text, jsonb
) IS 'Records what a call did about orders in ticket_order_audit_log.';

-- object: orders/take_back_tickets.sql sha256=8c6f4e269acc94298b83576bad66aedbd799c670f260f4497dd301d253f73fea
-- Called wherever tickets are returned: by a refund, a dispute, the box office, a cancelled show.
-- The caller has locked these orders and their reservations. Order by order, since each statement
-- is then entered by a key, however small the tables were when its plan was made.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.take_back_tickets(
    p_show_id uuid,
    p_order_ids uuid[],
    p_ticket_ids uuid[],
    p_reason text,
    p_refund_status text,
    p_staff text DEFAULT NULL,
    OUT refund_ids uuid[],
    OUT amount_in_cents bigint,
    OUT seats_freed integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_order_id uuid;
    v_seats record;
    v_seat_ids uuid[] := '{}'::uuid[];
    v_tickets record;
    v_paid record;
    v_refund_id uuid;
    v_blocked_ids uuid[] := '{}'::uuid[];
BEGIN
    refund_ids := '{}';
    amount_in_cents := 0;
    FOREACH v_order_id IN ARRAY p_order_ids LOOP
        SELECT
            COALESCE(
                array_agg(ticket.show_seat_id)
                -- A ticket that the house has cancelled by hand has no seat any more.
                FILTER (WHERE ticket.status = 'valid'), '{}'
            ) AS ids
        INTO v_seats
        FROM {{ schema }}.tickets AS ticket
        WHERE
            ticket.order_id = v_order_id
            AND ticket.show_id = p_show_id
            AND (p_ticket_ids IS NULL OR ticket.id = ANY(p_ticket_ids));
        v_seat_ids := v_seat_ids || v_seats.ids;
    END LOOP;
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    FOREACH v_order_id IN ARRAY p_order_ids LOOP
        WITH returned AS (
            UPDATE {{ schema }}.tickets
            SET status = 'refunded'
            WHERE
                tickets.order_id = v_order_id
                AND tickets.show_id = p_show_id
                AND tickets.status <> 'refunded'
                AND (p_ticket_ids IS NULL OR tickets.id = ANY(p_ticket_ids))
            RETURNING
                tickets.id,
                tickets.show_seat_id,
                tickets.price_in_cents,
                tickets.checked_in_at
        )

        SELECT
            array_agg(returned.id ORDER BY returned.id) AS ids,
            array_agg(returned.show_seat_id ORDER BY returned.show_seat_id)
                FILTER (WHERE returned.show_seat_id = ANY(v_seat_ids)) AS seat_ids,
            array_agg(returned.show_seat_id ORDER BY returned.show_seat_id)
                FILTER (
                    WHERE
                    returned.show_seat_id = ANY(v_seat_ids)
                    AND returned.checked_in_at IS NOT NULL
                ) AS blocked_seat_ids,
            sum(returned.price_in_cents)::bigint AS amount_in_cents
        INTO v_tickets
        FROM returned;

        UPDATE {{ schema }}.ticket_orders
        SET
            refunded_amount_in_cents = ticket_orders.refunded_amount_in_cents
            + COALESCE(v_tickets.amount_in_cents, 0),
            status = CASE
                WHEN EXISTS (
                    SELECT
                    FROM {{ schema }}.tickets AS ticket
                    WHERE
                        ticket.order_id = v_order_id
                        AND ticket.show_id = p_show_id
                        AND ticket.status <> 'refunded'
                ) THEN ticket_orders.status
                ELSE 'refunded'
            END
        WHERE
            ticket_orders.id = v_order_id
            AND ticket_orders.show_id = p_show_id
        RETURNING
            ticket_orders.reservation_id,
            ticket_orders.currency,
            ticket_orders.payment_provider
        INTO v_paid;

        IF v_tickets.amount_in_cents > 0 THEN
            INSERT INTO {{ schema }}.refunds (
                show_id, order_id, ticket_ids, amount_in_cents, currency, reason, status,
                payment_provider, payment_event_id, done_at
            )
            VALUES (
                p_show_id,
                v_order_id,
                v_tickets.ids,
                v_tickets.amount_in_cents,
                v_paid.currency,
                p_reason,
                p_refund_status,
                v_paid.payment_provider,
                (
                    SELECT paid.event_id
                    FROM {{ schema }}.payment_events AS paid
                    WHERE
                        paid.order_id = v_order_id
                        AND paid.show_id = p_show_id
                        AND paid.kind = 'payment'
                        AND paid.success
                    LIMIT 1
                ),
                CASE p_refund_status WHEN 'done' THEN now() END
            )
            RETURNING refunds.id INTO v_refund_id;
            refund_ids := refund_ids || v_refund_id;
            amount_in_cents := take_back_tickets.amount_in_cents + v_tickets.amount_in_cents;
        END IF;

        UPDATE {{ schema }}.reservation_seats
        SET released_at = now()
        WHERE
            reservation_seats.reservation_id = v_paid.reservation_id
            AND reservation_seats.show_id = p_show_id
            AND reservation_seats.show_seat_id = ANY(v_tickets.seat_ids);

        IF v_tickets.seat_ids IS NOT NULL THEN
            INSERT INTO {{ schema }}.seat_reservation_audit_log (
                event_type, reservation_id, show_id, seat_count, seat_ids, metadata
            )
            VALUES (
                'refunded',
                v_paid.reservation_id,
                p_show_id,
                cardinality(v_tickets.seat_ids),
                v_tickets.seat_ids,
                jsonb_strip_nulls(
                    jsonb_build_object(
                        'staff', p_staff, 'blocked_seat_ids', v_tickets.blocked_seat_ids
                    )
                )
            );
        END IF;
        v_blocked_ids := v_blocked_ids || v_tickets.blocked_seat_ids;
    END LOOP;

    -- Somebody may sit on the seat of a ticket that was checked in.
    UPDATE {{ schema }}.show_seats
    SET status = CASE WHEN show_seats.id = ANY(v_blocked_ids) THEN 'blocked' ELSE 'available' END
    WHERE
        show_seats.show_id = p_show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.status = 'sold';
    seats_freed := cardinality(v_seat_ids);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.take_back_tickets(
    uuid, uuid[], uuid[], text, text, text
) IS
'Makes these tickets of these orders (NULL: all that are not yet) refunded and their seats '
'available, or blocked where the ticket was checked in; an order without any other ticket is '
'refunded. Writes a row of refunds for each order whose tickets were not free, and a line in the '
'log of seats. Returns the refunds, their sum, and the number of seats.';

-- object: orders/settle_refund.sql sha256=3ac118d3247a8e57e35a7ee403300e010cb488b763818966e1ccb8175b302546
-- Called when the money of a due refund has gone back. The caller has locked the order.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.settle_refund(p_show_id uuid, p_refund_id uuid)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_refund record;
    v_status text;
BEGIN
    UPDATE {{ schema }}.refunds
    SET
        status = 'done',
        done_at = now()
    WHERE
        refunds.show_id = p_show_id
        AND refunds.id = p_refund_id
    RETURNING
        refunds.order_id,
        refunds.reason IN ('late_payment', 'show_cancelled') AS is_own_payment
    INTO v_refund;

    -- Even if this changes nothing: a concurrent transaction that has decided by the order must
    -- fail.
    UPDATE {{ schema }}.ticket_orders
    SET
        status = CASE
            WHEN ticket_orders.status = 'refund_due' AND v_refund.is_own_payment THEN 'refunded'
            ELSE ticket_orders.status
        END,
        refunded_amount_in_cents = CASE
            WHEN ticket_orders.status = 'refund_due' AND v_refund.is_own_payment
                THEN ticket_orders.total_amount_in_cents
            ELSE ticket_orders.refunded_amount_in_cents
        END
    WHERE
        ticket_orders.show_id = p_show_id
        AND ticket_orders.id = v_refund.order_id
    RETURNING ticket_orders.status INTO v_status;
    RETURN v_status;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.settle_refund(uuid, uuid) IS
'Marks a refund as done, and its order as refunded if that was the payment of an order that is '
'refund_due. Returns the status of the order.';

-- object: orders/retake_seats.sql sha256=0d21042dd2a4833d13eb2abc92fe3792101bdfa97960a8268f550099d6e021ce
-- For a late payment: takes the same seats again if all of them are free.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.retake_seats(
    p_show_id uuid,
    p_reservation_id uuid,
    p_seat_ids uuid[]
)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_over_ids uuid[];
    v_free bigint;
BEGIN
    -- The caller has looked before. Locked, so that whoever cancels the show finds these claims.
    PERFORM
    FROM {{ schema }}.shows AS show
    WHERE
        show.id = p_show_id
        AND show.status <> 'cancelled'
    FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;

    -- Overdue holds do not count, this one included.
    v_over_ids := ARRAY(
        SELECT seat.reserved_by
        FROM {{ schema }}.show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.id = ANY(p_seat_ids)
            AND seat.reserved_until <= v_now
    );
    PERFORM {{ internal_schema }}.expire_reservations_for_buyer(p_show_id, v_over_ids, p_seat_ids);

    SELECT count(*)
    INTO v_free
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(p_seat_ids)
        AND seat.status = 'available';
    IF v_free < cardinality(p_seat_ids) THEN
        RETURN false;
    END IF;

    UPDATE {{ schema }}.reservation_seats
    SET released_at = NULL
    WHERE
        reservation_seats.reservation_id = p_reservation_id
        AND reservation_seats.show_id = p_show_id
        AND reservation_seats.show_seat_id = ANY(p_seat_ids);
    RETURN true;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.retake_seats(uuid, uuid, uuid[]) IS
'Makes the claims of a locked reservation live again after its time, if all seats are free and the '
'show is not cancelled; returns whether it did. The seats stay locked.';

-- object: orders/remember_payment_intent.sql sha256=df9d62bf3f26cfd12b8d335ead33e8693dde96d6cf2c48c3af9d7c409ab7aca7
-- Called before an order names another payment, since money may still arrive from the present one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.remember_payment_intent(
    p_show_id uuid,
    p_order_id uuid,
    p_payment_provider text,
    p_payment_intent_id text
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
AS $body$
BEGIN
    IF p_payment_intent_id IS NOT NULL THEN
        INSERT INTO {{ internal_schema }}.payment_intents (
            payment_intent_id, payment_provider, order_id, show_id
        )
        VALUES (
            p_payment_intent_id, COALESCE(p_payment_provider, ''), p_order_id, p_show_id
        )
        ON CONFLICT DO NOTHING;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.remember_payment_intent(uuid, uuid, text, text) IS
'Keeps the payment that an order names at present in payment_intents.';

-- object: orders/create_ticket_order.sql sha256=6e0f49ad33d54e5d8317468a6a3a34ace21d8c769a79e5e3c3c5f1003c857023
-- Turns a hold into an order to be paid. A reservation has one order at a time: calling again
-- returns it. Locks the hold and updates it, so that concurrent decisions about it wait or, at
-- REPEATABLE READ, fail and are retried.
CREATE OR REPLACE FUNCTION {{ schema }}.create_ticket_order(
    p_reservation_token text,
    p_session_id text,
    p_idempotency_key text DEFAULT NULL,
    p_payment_provider text DEFAULT NULL,
    p_payment_intent_id text DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    total_amount_in_cents bigint,
    currency text,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_order record;
    v_named record;
    v_show record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_is_new_key boolean;
    v_losses integer := 0;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        BEGIN
            error_code := NULL;
            v_now := clock_timestamp();
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT existing.*
            INTO v_order
            FROM {{ schema }}.ticket_orders AS existing
            WHERE
                existing.show_id = v_hold.show_id
                AND existing.id = (
                    SELECT used.order_id
                    FROM {{ internal_schema }}.ticket_order_keys AS used
                    WHERE
                        used.idempotency_key = p_idempotency_key
                        AND used.show_id = v_hold.show_id
                );
            v_is_new_key := p_idempotency_key IS NOT NULL AND v_order.id IS NULL;

            SELECT
                show.status = 'cancelled' AS is_cancelled,
                policy.order_minutes
            INTO v_show
            FROM {{ schema }}.shows AS show
            INNER JOIN {{ schema }}.ticketing_settings AS policy ON policy.singleton
            WHERE show.id = v_hold.show_id;

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN p_idempotency_key !~ '[^[:space:]]'
                    OR GREATEST(
                        length(p_idempotency_key), length(p_payment_provider),
                        length(p_payment_intent_id)
                    ) > 200 THEN 'INVALID_INPUT'
                WHEN v_order.reservation_id <> v_hold.id THEN 'IDEMPOTENCY_KEY_REUSED'
                WHEN v_show.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                -- The same key returns the same order, whatever the state of the hold, if the order
                -- can still be paid or was paid.
                WHEN v_order.status IN ('pending', 'failed', 'paid') THEN NULL
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                -- That order has ended, and the hold is still live: it needs another key.
                WHEN v_order.id IS NOT NULL THEN 'IDEMPOTENCY_KEY_REUSED'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_order.id IS NULL THEN
                SELECT pending.*
                INTO v_order
                FROM {{ schema }}.ticket_orders AS pending
                WHERE
                    pending.reservation_id = v_hold.id
                    AND pending.show_id = v_hold.show_id
                    -- In a form that does not match the index of all pending orders.
                    AND COALESCE(pending.status, '') = 'pending';
            END IF;

            IF v_order.id IS NULL THEN
                IF v_hold.expires_at < v_now + make_interval(mins => v_show.order_minutes) THEN
                    v_hold.expires_at := v_now + make_interval(mins => v_show.order_minutes);
                END IF;
                -- Even if this changes nothing, see above. A trigger copies it to the seats.
                UPDATE {{ schema }}.seat_reservations
                SET expires_at = v_hold.expires_at
                WHERE
                    seat_reservations.id = v_hold.id
                    AND seat_reservations.show_id = v_hold.show_id;

                INSERT INTO {{ schema }}.ticket_orders (
                    show_id, reservation_id, seat_ids, total_amount_in_cents, currency,
                    idempotency_key, payment_provider, payment_intent_id
                )
                SELECT
                    v_hold.show_id,
                    v_hold.id,
                    array_agg(claim.show_seat_id ORDER BY claim.show_seat_id)
                        FILTER (WHERE claim.released_at IS NULL),
                    sum(claim.price_in_cents) FILTER (WHERE claim.released_at IS NULL),
                    min(claim.currency),
                    p_idempotency_key,
                    p_payment_provider,
                    p_payment_intent_id
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_hold.id
                    AND claim.show_id = v_hold.show_id
                RETURNING ticket_orders.* INTO v_order;
            ELSIF v_order.status IN ('pending', 'failed') THEN
                -- The payment that is named now is the one that the buyer is about to use.
                v_named := v_order;
                v_named.idempotency_key := COALESCE(v_order.idempotency_key, p_idempotency_key);
                v_named.payment_provider := COALESCE(p_payment_provider, v_order.payment_provider);
                v_named.payment_intent_id := COALESCE(
                    p_payment_intent_id,
                    CASE
                        WHEN v_named.payment_provider IS NOT DISTINCT FROM
                            COALESCE(v_order.payment_provider, v_named.payment_provider)
                            THEN v_order.payment_intent_id
                    END
                );
                IF v_named IS DISTINCT FROM v_order THEN
                    IF (v_named.payment_provider, v_named.payment_intent_id) IS DISTINCT FROM (
                        COALESCE(v_order.payment_provider, v_named.payment_provider),
                        v_order.payment_intent_id
                    ) THEN
                        PERFORM {{ internal_schema }}.remember_payment_intent(
                            v_show_id, v_order.id, v_order.payment_provider,
                            v_order.payment_intent_id
                        );
                    END IF;
                    UPDATE {{ schema }}.ticket_orders
                    SET
                        idempotency_key = v_named.idempotency_key,
                        payment_provider = v_named.payment_provider,
                        payment_intent_id = v_named.payment_intent_id
                    WHERE
                        ticket_orders.id = v_order.id
                        AND ticket_orders.show_id = v_order.show_id;
                END IF;
            END IF;

            IF v_is_new_key THEN
                INSERT INTO {{ internal_schema }}.ticket_order_keys (
                    idempotency_key, show_id, order_id
                )
                VALUES (p_idempotency_key, v_order.show_id, v_order.id);
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                IF SQLSTATE = '23505' THEN
                    IF current_setting('transaction_isolation') <> 'read committed' THEN
                        RAISE EXCEPTION 'another call has ordered since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    END IF;
                    -- Another call used the key between our look and our write: look again, to find
                    -- out for what.
                    v_losses := v_losses + 1;
                    CONTINUE WHEN v_losses = 1;
                END IF;
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                error_code := CASE v_constraint
                    -- A key that was added by hand.
                    WHEN 'ticket_orders_idempotency_key_show_id_key' THEN 'IDEMPOTENCY_KEY_REUSED'
                    ELSE 'INTERNAL_ERROR'
                END;
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        order_id := v_order.id;
        status := v_order.status;
        total_amount_in_cents := v_order.total_amount_in_cents;
        currency := v_order.currency;
    ELSE
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF v_reservation_id IS NULL THEN
            -- For the log: the reservation was not locked, or does not exist.
            SELECT
                hold.show_id,
                hold.id
            INTO
                v_show_id,
                v_reservation_id
            FROM {{ schema }}.seat_reservations AS hold
            WHERE hold.reservation_token = p_reservation_token;
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'create_ticket_order', error_code, error_message, v_show_id,
            p_reservation_id => v_reservation_id, p_session_id => p_session_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text) IS
'Creates an order for the seats of a hold, which then lasts at least '
'ticketing_settings.order_minutes. With the same idempotency key, or while an order is pending, '
'returns that order. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, '
'RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), IDEMPOTENCY_KEY_REUSED (by another '
'reservation, or for an order that has ended), INVALID_INPUT, BUSY (after 2 s; try again), '
'INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.create_ticket_order(text, text, text, text, text)
TO {{ app_role }};
{% endif %}

-- object: orders/confirm_payment.sql sha256=5bb6a8ef244ea96f26bdaa1450f644fc3c022d4065f440c8c12975be401a3c48
-- Called when the provider reports a payment. Every payment is recorded: one that does not buy
-- tickets becomes a row of refunds. Safe to repeat.
CREATE OR REPLACE FUNCTION {{ schema }}.confirm_payment(
    p_show_id uuid,
    p_order_id uuid,
    p_provider text,
    p_event_id text,
    p_amount_in_cents bigint
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    ticket_ids uuid[],
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would wait for a locked table before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_seat_count integer;
    v_hold_status text;
    v_is_held boolean;
    v_is_cancelled boolean;
    v_event record;
    v_is_sellable boolean;
    -- Why an attempt to sell has failed.
    v_failure text;
    v_constraint text;
    v_seats bigint;
    v_payment_intent_id text;
    v_refund_reason text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        ticket_ids := '{}';
        v_is_sellable := false;
        IF COALESCE(p_provider, '') !~ '[^[:space:]]'
            OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
            OR GREATEST(length(p_provider), length(p_event_id)) > 200
        THEN
            error_code := 'INVALID_INPUT';
            EXIT;
        END IF;

        BEGIN
            v_now := clock_timestamp();
            v_order := {{ internal_schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            status := v_order.status;
            SELECT seen.*
            INTO v_event
            FROM {{ schema }}.payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'payment'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.amount_in_cents IS DISTINCT FROM p_amount_in_cents
                AND v_event.event_id IS NOT NULL
            THEN
                error_code := 'EVENT_MISMATCH';
                EXIT;
            ELSIF v_event.event_id IS NOT NULL THEN
                success := v_event.success;
                order_id := v_event.order_id;
                status := v_event.order_status;
                ticket_ids := v_event.ticket_ids;
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                -- Not stored: the order may be committed a moment later, and the provider will send
                -- the event again.
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN p_amount_in_cents IS DISTINCT FROM v_order.total_amount_in_cents
                    THEN 'AMOUNT_MISMATCH'
                WHEN v_order.status NOT IN ('pending', 'failed', 'cancelled')
                    THEN 'ORDER_NOT_PAYABLE'
            END;
            EXIT WHEN error_code = 'NOT_FOUND';

            IF error_code IS NULL THEN
                SELECT
                    hold.status::text,
                    hold.status = 'active' AND hold.expires_at > v_now AS is_held,
                    show.status = 'cancelled' AS is_cancelled
                INTO
                    v_hold_status,
                    v_is_held,
                    v_is_cancelled
                FROM {{ schema }}.seat_reservations AS hold
                INNER JOIN {{ schema }}.shows AS show ON show.id = hold.show_id
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = v_order.reservation_id;

                IF v_failure IS NOT NULL
                    OR v_is_cancelled
                    -- The seats were given back, or paid for by another order of the hold.
                    OR v_order.status = 'cancelled'
                    AND v_order.cancel_reason IS DISTINCT FROM 'overdue'
                THEN
                    v_is_sellable := false;
                ELSIF v_is_held THEN
                    v_is_sellable := true;
                    PERFORM
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(v_order.seat_ids)
                    ORDER BY seat.id
                    FOR UPDATE;
                ELSE
                    v_is_sellable := v_hold_status IN ('active', 'expired')
                        AND {{ internal_schema }}.retake_seats(
                            p_show_id, v_order.reservation_id, v_order.seat_ids
                        );
                END IF;

                IF v_is_sellable THEN
                    UPDATE {{ schema }}.seat_reservations
                    SET
                        status = 'completed',
                        ended_at = v_now
                    WHERE
                        seat_reservations.show_id = p_show_id
                        AND seat_reservations.id = v_order.reservation_id;

                    -- Sell only what this hold has, whatever was changed by hand.
                    UPDATE {{ schema }}.show_seats
                    SET
                        status = 'sold',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = p_show_id
                        AND show_seats.id = ANY(v_order.seat_ids)
                        AND CASE
                            WHEN v_is_held THEN show_seats.reserved_by = v_order.reservation_id
                            ELSE show_seats.status = 'available'
                        END;
                    GET DIAGNOSTICS v_seats = ROW_COUNT;

                    WITH issued AS (
                        INSERT INTO {{ schema }}.tickets (
                            show_id, order_id, show_seat_id, price_in_cents, currency,
                            ticket_type
                        )
                        SELECT
                            p_show_id,
                            v_order.id,
                            claim.show_seat_id,
                            claim.price_in_cents,
                            claim.currency,
                            claim.ticket_type
                        FROM {{ schema }}.reservation_seats AS claim
                        WHERE
                            claim.reservation_id = v_order.reservation_id
                            AND claim.show_seat_id = ANY(v_order.seat_ids)
                            AND claim.show_id = p_show_id
                            -- Live ones, in a form that does not match the index of all live
                            -- claims.
                            AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                        RETURNING tickets.id
                    )

                    SELECT COALESCE(array_agg(issued.id ORDER BY issued.id), '{}')
                    INTO ticket_ids
                    FROM issued;

                    IF LEAST(v_seats, cardinality(ticket_ids)) < cardinality(v_order.seat_ids) THEN
                        RAISE EXCEPTION 'the reservation does not have all seats of its order'
                        USING ERRCODE = 'integrity_constraint_violation';
                    END IF;

                    -- A payment that arrives for an earlier order of the same seats becomes
                    -- refund_due.
                    UPDATE {{ schema }}.ticket_orders
                    SET
                        status = 'cancelled',
                        cancel_reason = 'superseded'
                    WHERE
                        ticket_orders.reservation_id = v_order.reservation_id
                        AND ticket_orders.show_id = p_show_id
                        AND ticket_orders.status IN ('pending', 'failed')
                        AND ticket_orders.id <> v_order.id;
                END IF;

                -- The payment that this event belongs to: the one that the event names, or the last
                -- one begun with this provider, or else the event itself.
                SELECT named.payment_intent_id
                INTO v_payment_intent_id
                FROM (
                    SELECT
                        v_order.payment_intent_id,
                        v_order.payment_provider,
                        'infinity'::timestamptz AS created_at
                    UNION ALL
                    SELECT
                        earlier.payment_intent_id,
                        NULLIF(earlier.payment_provider, ''),
                        earlier.created_at
                    FROM {{ internal_schema }}.payment_intents AS earlier
                    WHERE
                        earlier.order_id = v_order.id
                        AND earlier.show_id = p_show_id
                ) AS named
                WHERE
                    named.payment_intent_id IS NOT NULL
                    AND COALESCE(named.payment_provider, p_provider) = p_provider
                ORDER BY
                    named.payment_intent_id = p_event_id DESC,
                    named.created_at DESC
                LIMIT 1;
                v_payment_intent_id := COALESCE(v_payment_intent_id, p_event_id);
                IF (v_order.payment_intent_id, COALESCE(v_order.payment_provider, p_provider))
                    IS DISTINCT FROM (v_payment_intent_id, p_provider)
                THEN
                    PERFORM {{ internal_schema }}.remember_payment_intent(
                        p_show_id, v_order.id, v_order.payment_provider, v_order.payment_intent_id
                    );
                END IF;

                status := CASE WHEN v_is_sellable THEN 'paid' ELSE 'refund_due' END;
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = confirm_payment.status,
                    paid_at = now(),
                    payment_provider = p_provider,
                    payment_intent_id = v_payment_intent_id
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;

            INSERT INTO {{ schema }}.payment_events (
                provider, event_id, show_id, order_id, kind, amount_in_cents, success,
                order_status, ticket_ids, error_code, error_message
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'payment', p_amount_in_cents,
                error_code IS NULL, status, ticket_ids, error_code,
                {{ internal_schema }}.error_message(error_code)
            );

            v_refund_reason := CASE
                WHEN error_code = 'AMOUNT_MISMATCH' THEN 'amount_mismatch'
                WHEN error_code = 'ORDER_NOT_PAYABLE' THEN 'double_payment'
                WHEN v_is_sellable THEN NULL
                WHEN v_is_cancelled THEN 'show_cancelled'
                ELSE 'late_payment'
            END;
            IF v_refund_reason IS NOT NULL AND p_amount_in_cents > 0 THEN
                INSERT INTO {{ schema }}.refunds (
                    show_id, order_id, amount_in_cents, currency, reason, payment_provider,
                    payment_event_id
                )
                VALUES (
                    p_show_id, v_order.id, p_amount_in_cents, v_order.currency, v_refund_reason,
                    p_provider, p_event_id
                );
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_seat_count) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'payment_events_pkey' THEN
                    -- Only if the snapshot is older than our lock, and the event was stored in
                    -- between.
                    RAISE EXCEPTION 'the event was stored after the transaction began'
                    USING ERRCODE = 'serialization_failure';
                END IF;
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                IF left(SQLSTATE, 2) = '23' AND v_is_sellable THEN
                    -- The seats cannot be sold, but the money has arrived: try again, to record it
                    -- as a refund.
                    v_failure := CASE
                        WHEN SQLSTATE = '23000' THEN 'SEATS_UNAVAILABLE'
                        WHEN v_constraint IN (
                            'tickets_one_valid_per_seat', 'reservation_seats_no_double_booking'
                        ) THEN 'DOUBLE_BOOKING_PREVENTED'
                        ELSE 'INTERNAL_ERROR'
                    END;
                ELSE
                    -- The event is not stored, so the provider can send it again.
                    error_code := 'INTERNAL_ERROR';
                    EXIT;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF error_code IN ('BUSY', 'INTERNAL_ERROR') THEN
            status := v_old_status;
            ticket_ids := '{}';
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'confirm_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    ELSIF v_failure IS NOT NULL THEN
        -- The answer is no error, but the log must show that an expected sale has failed.
        PERFORM {{ internal_schema }}.log_order_failure(
            'confirm_payment', v_failure, {{ internal_schema }}.error_message(v_failure), p_show_id,
            p_order_id, v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.confirm_payment(uuid, uuid, text, text, bigint) IS
'Records a payment, in the minor unit of the currency of the order, and issues tickets; status '
'refund_due if the seats are gone. A payment that buys no tickets becomes a row of refunds. '
'Repeating an event returns the first answer; the same event for another order is another '
'payment. Error codes: NOT_FOUND, AMOUNT_MISMATCH, ORDER_NOT_PAYABLE, EVENT_MISMATCH (the event '
'came before with another amount), INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.confirm_payment(uuid, uuid, text, text, bigint)
TO {{ app_role }};
{% endif %}

-- object: orders/fail_payment.sql sha256=c504062481cbf92be928df0fe28885346f37eadd341f106c6d7e157ce5ae3df4
-- Called when the provider reports that a payment failed. The hold stays: the buyer may try again
-- until it is over.
CREATE OR REPLACE FUNCTION {{ schema }}.fail_payment(
    p_show_id uuid,
    p_order_id uuid,
    p_provider text,
    p_event_id text,
    p_error_message text
)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Records: a row type would wait for a locked table before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_event record;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        IF COALESCE(p_provider, '') !~ '[^[:space:]]'
            OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
            OR GREATEST(length(p_provider), length(p_event_id)) > 200
        THEN
            error_code := 'INVALID_INPUT';
            EXIT;
        END IF;

        BEGIN
            v_order := {{ internal_schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            status := v_order.status;
            SELECT seen.*
            INTO v_event
            FROM {{ schema }}.payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'failure'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.event_id IS NOT NULL THEN
                success := v_event.success;
                order_id := v_event.order_id;
                status := v_event.order_status;
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('pending', 'failed') THEN 'ORDER_NOT_PAYABLE'
            END;
            EXIT WHEN error_code = 'NOT_FOUND';

            IF error_code IS NULL THEN
                status := 'failed';
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'failed',
                    error_message = left(p_error_message, 10000),
                    payment_provider = COALESCE(ticket_orders.payment_provider, p_provider)
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;

            INSERT INTO {{ schema }}.payment_events (
                provider, event_id, show_id, order_id, kind, success, order_status, ticket_ids,
                error_code, error_message
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'failure', error_code IS NULL,
                status, '{}', error_code, {{ internal_schema }}.error_message(error_code)
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'payment_events_pkey' THEN
                    -- Only if the snapshot is older than our lock, and the event was stored in
                    -- between.
                    RAISE EXCEPTION 'the event was stored after the transaction began'
                    USING ERRCODE = 'serialization_failure';
                END IF;
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'fail_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_payment_provider => p_provider, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) IS
'Records that a payment failed. A failed order can still be paid, even by an event with the same '
'id. Repeating an event returns the first answer. Error codes: NOT_FOUND, ORDER_NOT_PAYABLE, '
'INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.fail_payment(uuid, uuid, text, text, text) TO {{ app_role }};
{% endif %}

-- object: orders/refund_order.sql sha256=df8fae78220af090cd7ad5e617d31e52301fac7e74f31861da9479ee4fc11b69
-- Called when the money was given back. Seats that were sold can be sold again. What
-- cancel_tickets() took back before stays due until record_refund().
CREATE OR REPLACE FUNCTION {{ schema }}.refund_order(p_show_id uuid, p_order_id uuid)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    seats_released integer,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Records: a row type would wait for a locked table before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_seat_count integer;
    v_has_waited boolean := false;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        BEGIN
            v_order := {{ internal_schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('paid', 'refund_due') THEN 'ORDER_NOT_REFUNDABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_order.status = 'paid' THEN
                SELECT taken.seats_freed
                INTO seats_released
                FROM {{ internal_schema }}.take_back_tickets(
                    p_show_id,
                    ARRAY[v_order.id],
                    NULL,
                    (
                        SELECT
                            CASE show.status
                                WHEN 'cancelled' THEN 'show_cancelled'
                                ELSE 'tickets_cancelled'
                            END
                        FROM {{ schema }}.shows AS show
                        WHERE show.id = p_show_id
                    ),
                    'done'
                ) AS taken;
            ELSE
                -- An order that is refund_due has no tickets: its seats may have another buyer by
                -- now. This refund does not cover other payments for the order: a second one, or
                -- one with a wrong amount.
                seats_released := 0;
                UPDATE {{ schema }}.refunds
                SET
                    status = 'done',
                    done_at = now()
                WHERE
                    refunds.order_id = v_order.id
                    AND refunds.show_id = p_show_id
                    AND refunds.status = 'due'
                    AND refunds.reason IN ('late_payment', 'show_cancelled');

                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'refunded',
                    refunded_amount_in_cents = ticket_orders.total_amount_in_cents
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_seat_count) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        status := 'refunded';
    ELSE
        seats_released := NULL;
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'refund_order', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.refund_order(uuid, uuid) IS
'Records that an order, paid or refund_due, was refunded, also in refunds, and frees its seats; of '
'a paid order what is left of it. A seat whose ticket was checked in becomes blocked. '
'Error codes: NOT_FOUND, ORDER_NOT_REFUNDABLE, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.refund_order(uuid, uuid) TO {{ app_role }};
{% endif %}

-- object: orders/order_details.sql sha256=4407a05bb4778c3210e64fa40329b8f6d74443ecfd200fc8f9b44e167f410d0d
-- What get_order() and find_orders() answer.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.order_details(
    p_show_ids uuid[],
    p_order_ids uuid[]
)
RETURNS TABLE (
    order_id uuid,
    show_id uuid,
    reservation_id uuid,
    status text,
    total_amount_in_cents bigint,
    currency text,
    refunded_amount_in_cents bigint,
    payment_provider text,
    payment_intent_id text,
    cancel_reason text,
    error_message text,
    ticket_count integer,
    created_at timestamptz,
    paid_at timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
-- Each order by its key, and its tickets by theirs.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        known.id,
        known.show_id,
        known.reservation_id,
        known.status,
        known.total_amount_in_cents,
        known.currency,
        known.refunded_amount_in_cents,
        known.payment_provider,
        known.payment_intent_id,
        known.cancel_reason,
        known.error_message,
        (
            -- FILTER instead of WHERE, so that tickets are found by their order and not by the
            -- index of all valid ones.
            SELECT count(*) FILTER (WHERE ticket.status = 'valid')
            FROM {{ schema }}.tickets AS ticket
            WHERE
                ticket.order_id = known.id
                AND ticket.show_id = known.show_id
        )::integer,
        known.created_at,
        known.paid_at
    FROM unnest(p_show_ids, p_order_ids) AS wanted (show_id, id)
    INNER JOIN {{ schema }}.ticket_orders AS known
        ON known.show_id = wanted.show_id AND known.id = wanted.id
    ORDER BY
        known.created_at,
        known.id;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.order_details(uuid[], uuid[]) IS
'These orders, each by its show and id, oldest first, with the number of their valid tickets.';

-- object: orders/get_order.sql sha256=90d7291be53f39e816b2a87c173dd14731d3c074ee2af72d81d042820a7ce39b
-- For the page that waits for the payment, and for the staff.
CREATE OR REPLACE FUNCTION {{ schema }}.get_order(p_show_id uuid, p_order_id uuid)
RETURNS TABLE (
    order_id uuid,
    show_id uuid,
    reservation_id uuid,
    status text,
    total_amount_in_cents bigint,
    currency text,
    refunded_amount_in_cents bigint,
    payment_provider text,
    payment_intent_id text,
    cancel_reason text,
    error_message text,
    ticket_count integer,
    created_at timestamptz,
    paid_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
AS $body$
BEGIN
    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.order_details(ARRAY[p_show_id], ARRAY[p_order_id]) AS details;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_order(uuid, uuid) IS
'An order and the state of its payment; no row if the show has no such order. ticket_count is how '
'many of its tickets are valid. Amounts are in the minor unit of the currency. Raises '
'lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_order(uuid, uuid)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}

-- object: orders/find_orders.sql sha256=d9089573e0d62cc547e99787ae349d7daf26ee98a9299127a577bc82a8649f1b
-- For a webhook, or a line of a bank's statement, that names no order.
CREATE OR REPLACE FUNCTION {{ schema }}.find_orders(
    p_payment_provider text,
    p_payment_intent_id text
)
RETURNS TABLE (
    order_id uuid,
    show_id uuid,
    reservation_id uuid,
    status text,
    total_amount_in_cents bigint,
    currency text,
    refunded_amount_in_cents bigint,
    payment_provider text,
    payment_intent_id text,
    cancel_reason text,
    error_message text,
    ticket_count integer,
    created_at timestamptz,
    paid_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
DECLARE
    v_providers text[] := ARRAY[p_payment_provider];
    v_show_ids uuid[];
    v_ids uuid[];
BEGIN
    IF p_payment_provider IS NULL THEN
        -- Events are found by their provider first. There are few: each is read from the index
        -- behind the one before.
        WITH RECURSIVE known AS (
            SELECT min(event.provider) AS provider
            FROM {{ schema }}.payment_events AS event
            UNION ALL
            SELECT
                (
                    SELECT min(event.provider)
                    FROM {{ schema }}.payment_events AS event
                    WHERE event.provider > known.provider
                )
            FROM known
            WHERE known.provider IS NOT NULL
        )

        SELECT array_agg(known.provider)
        INTO v_providers
        FROM known;
    END IF;

    SELECT
        array_agg(found.show_id),
        array_agg(found.id)
    INTO
        v_show_ids,
        v_ids
    FROM (
        SELECT
            named.show_id,
            named.id
        FROM {{ schema }}.ticket_orders AS named
        WHERE
            named.payment_intent_id = p_payment_intent_id
            -- A payment whose provider the shop did not name may be of any.
            AND COALESCE(named.payment_provider = p_payment_provider, true)
        UNION
        SELECT
            earlier.show_id,
            earlier.order_id
        FROM {{ internal_schema }}.payment_intents AS earlier
        WHERE
            earlier.payment_intent_id = p_payment_intent_id
            AND COALESCE(
                NULLIF(earlier.payment_provider, '') = p_payment_provider, true
            )
        UNION
        SELECT
            event.show_id,
            event.order_id
        FROM {{ schema }}.payment_events AS event
        WHERE
            event.provider = ANY(v_providers)
            AND event.event_id = p_payment_intent_id
    ) AS found;

    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.order_details(v_show_ids, v_ids) AS details;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.find_orders(text, text) IS
'The orders that a payment is about, oldest first, as get_order() returns them: those that name '
'it, or have named it before, and those that have an event with this id. A provider of NULL means '
'any. Raises lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.find_orders(text, text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}

-- object: orders/get_tickets.sql sha256=2d14930eeb9909a94683715bcc3cca20d3ffe07dc8bf932fca61e80d8460a98c
-- What the shop sends to the buyer. The codes admit: for the order's own buyer, and the staff.
CREATE OR REPLACE FUNCTION {{ schema }}.get_tickets(p_show_id uuid, p_order_id uuid)
RETURNS TABLE (
    ticket_id uuid,
    ticket_code text,
    section text,
    row_label text,
    seat_number text,
    ticket_type text,
    price_in_cents bigint,
    currency text,
    status text,
    checked_in_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
-- The tickets by their order, and each seat by its key.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        ticket.id,
        ticket.ticket_code,
        seat.section,
        seat.row_label,
        seat.seat_number,
        ticket.ticket_type::text,
        ticket.price_in_cents,
        ticket.currency,
        ticket.status,
        ticket.checked_in_at
    FROM {{ schema }}.tickets AS ticket
    INNER JOIN {{ schema }}.show_seats AS seat
        ON seat.show_id = ticket.show_id AND seat.id = ticket.show_seat_id
    WHERE
        ticket.order_id = p_order_id
        AND ticket.show_id = p_show_id
    ORDER BY
        seat.section,
        seat.row_position,
        seat.seat_position,
        ticket.id;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_tickets(uuid, uuid) IS
'The tickets of an order in the order of their places, those that were taken back included: see '
'status. Amounts are in the minor unit of the currency. Raises lock_not_available if a table is '
'locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_tickets(uuid, uuid)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}

-- object: orders/get_refunds.sql sha256=2eeaef5eed36939ad7c20c1b7e9068abd8707ad23301242576fa6de89caa3deb
-- What the accounts pay back by, with record_refund(): what is due in a show, or all of an order.
CREATE OR REPLACE FUNCTION {{ schema }}.get_refunds(
    p_show_id uuid,
    p_order_id uuid DEFAULT NULL
)
RETURNS TABLE (
    refund_id uuid,
    order_id uuid,
    ticket_ids uuid[],
    amount_in_cents bigint,
    currency text,
    reason text,
    status text,
    payment_provider text,
    payment_event_id text,
    created_at timestamptz,
    done_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
BEGIN
    IF p_order_id IS NULL THEN
        -- By the index of all that are due, of all shows: few, since they are paid back.
        RETURN QUERY
        SELECT
            due.id,
            due.order_id,
            due.ticket_ids,
            due.amount_in_cents,
            due.currency,
            due.reason,
            due.status,
            due.payment_provider,
            due.payment_event_id,
            due.created_at,
            due.done_at
        FROM {{ schema }}.refunds AS due
        WHERE
            due.status = 'due'
            AND due.show_id = p_show_id
        ORDER BY
            due.created_at,
            due.id;
    ELSE
        RETURN QUERY
        SELECT
            refund.id,
            refund.order_id,
            refund.ticket_ids,
            refund.amount_in_cents,
            refund.currency,
            refund.reason,
            refund.status,
            refund.payment_provider,
            refund.payment_event_id,
            refund.created_at,
            refund.done_at
        FROM {{ schema }}.refunds AS refund
        WHERE
            refund.order_id = p_order_id
            AND refund.show_id = p_show_id
        ORDER BY
            refund.created_at,
            refund.id;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_refunds(uuid, uuid) IS
'Without an order the refunds of a show that are due, with an order all of that order, oldest '
'first. record_refund() settles one by its id. Amounts are in the minor unit of the currency. '
'Raises lock_not_available if the table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_refunds(uuid, uuid)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}

-- object: orders/reconcile_payments.sql sha256=ca8fd54654b5028c81673eac5d058f8d46d6d9a03ebaffa364204dfe6f1031d6
-- Called by the accounts with a provider's list of what it has moved. Writes nothing.
CREATE OR REPLACE FUNCTION {{ schema }}.reconcile_payments(
    p_provider text,
    p_event_ids text[],
    p_amounts_in_cents bigint[],
    p_from timestamptz,
    p_until timestamptz
)
RETURNS TABLE (
    event_id text,
    difference text,
    amount_here_in_cents bigint,
    amount_there_in_cents bigint,
    order_ids uuid[]
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET jit = off
ROWS 10
AS $body$
BEGIN
    IF cardinality(p_event_ids) IS DISTINCT FROM cardinality(p_amounts_in_cents)
        OR array_position(p_event_ids, NULL) IS NOT NULL
        OR array_position(p_amounts_in_cents, NULL) IS NOT NULL
    THEN
        RAISE EXCEPTION 'p_event_ids and p_amounts_in_cents must have the same length, and no NULL'
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    WITH theirs AS MATERIALIZED (
        SELECT
            listed.event_id,
            sum(listed.amount_in_cents)::bigint AS amount_in_cents
        FROM unnest(p_event_ids, p_amounts_in_cents) AS listed (event_id, amount_in_cents)
        GROUP BY listed.event_id
    ),

    ours AS MATERIALIZED (
        SELECT
            came.event_id,
            sum(
                CASE
                    WHEN came.kind <> 'payment' THEN -came.amount_in_cents
                    ELSE GREATEST(came.amount_in_cents, 0)
                END
            )::bigint AS amount_in_cents,
            array_agg(DISTINCT came.order_id) AS order_ids
        FROM {{ schema }}.payment_events AS came
        WHERE
            came.provider = p_provider
            AND came.event_id = ANY(
                p_event_ids
                || ARRAY(
                    SELECT recent.event_id
                    FROM {{ schema }}.payment_events AS recent
                    WHERE
                        recent.created_at >= p_from
                        AND recent.created_at < p_until
                        AND recent.provider = p_provider
                )
            )
            AND came.kind <> 'failure'
        GROUP BY came.event_id
    )

    SELECT
        COALESCE(theirs.event_id, ours.event_id),
        CASE
            WHEN ours.event_id IS NULL THEN 'unknown here'
            WHEN theirs.event_id IS NULL THEN 'unknown there'
            ELSE 'amount differs'
        END,
        ours.amount_in_cents,
        theirs.amount_in_cents,
        COALESCE(ours.order_ids, '{}')
    FROM theirs
    FULL JOIN ours ON ours.event_id = theirs.event_id
    WHERE
        -- A provider does not list an event about no money.
        COALESCE(ours.amount_in_cents, 0) <> COALESCE(theirs.amount_in_cents, 0)
        OR ours.event_id IS NULL
    ORDER BY 1;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reconcile_payments(
    text, text[], bigint[], timestamptz, timestamptz
) IS
'Compares a provider''s list of events and amounts with payment_events: ours of an event are its '
'payments less its refunds and disputes, of all orders. Returns the events that differ: unknown '
'here, unknown there (ours from p_from until before p_until that are not in the list), amount '
'differs. Amounts are in the minor unit. Arrays of different lengths, or with NULLs, raise 22023.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reconcile_payments(
    text, text[], bigint[], timestamptz, timestamptz
) TO {{ box_office_role }};
{% endif %}

-- object: audit/refuse_change_but_erasure.sql sha256=964c4442d573c80011860c139fe9eca2f489a2fb1dfb6916ea8b1925fdcc3231
-- Trigger function of the logs, which are append-only. The one change that it allows empties all
-- personal columns of a row at once, and the key of metadata that may quote a value of them: what
-- erase_customer() does. Arguments: the hint of the error, and these columns.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.refuse_change_but_erasure()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Numbers are compared by their text, whatever the session has set.
SET extra_float_digits = 1
AS $body$
DECLARE
    v_old constant jsonb := to_jsonb(OLD);
    v_erased jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        SELECT
            v_old
            || jsonb_object_agg(personal.name, NULL)
            || jsonb_build_object('metadata', (v_old -> 'metadata') - 'detail')
        INTO v_erased
        FROM unnest(string_to_array(TG_ARGV[1], ',')) AS personal (name);
        IF to_jsonb(NEW) = v_erased AND v_old <> v_erased THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION '% on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = TG_ARGV[0];
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.refuse_change_but_erasure() IS
'Trigger function: raises restrict_violation (23001) with its first argument as the hint, unless '
'an UPDATE does nothing but empty the columns in its second argument, and metadata.detail.';

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
