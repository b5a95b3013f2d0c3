-- 0004: Orders, tickets and payments.
-- A template, frozen by `ticketdb revision`.

-- object: orders/ticket_orders.sql sha256=e37908dc54f76d20341a73fbdd59600c9408d6d40b88a3a9d632214a16b4426c
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
        cancel_reason IN ('released', 'superseded', 'overdue')
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

CREATE INDEX ticket_orders_created_at_idx ON {{ schema }}.ticket_orders (created_at);

-- Contains only orders that were refunded in part.
CREATE INDEX ticket_orders_created_at_refunded_amount_in_cents_idx
ON {{ schema }}.ticket_orders (created_at, refunded_amount_in_cents)
WHERE status = 'paid' AND refunded_amount_in_cents > 0;

CREATE INDEX ticket_orders_created_at_id_idx
ON {{ schema }}.ticket_orders (created_at, id) WHERE status = 'pending';

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
'owed; refunded: given back.';
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
'Why it was cancelled: released (seats were given back), superseded (another order of the hold '
'was paid), overdue (the hold expired without a payment). Only an overdue order can still be '
'paid, late.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.refunded_amount_in_cents IS
'How much of the payment has been given back, in the minor unit of the currency.';
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
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_idx IS
'Serves payment metrics of the last hours.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_refunded_amount_in_cents_idx IS
'Serves the revenue of a day, minus what was given back.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_id_idx IS
'Serves the cleanup: pending orders.';
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

-- object: orders/tickets.sql sha256=d470a228c66c6f6bb1d13165f7e90147daa05979eb91eedd583cc43f82fc03c5
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
COMMENT ON CONSTRAINT tickets_status_check ON {{ schema }}.tickets IS 'Only known statuses.';
COMMENT ON INDEX {{ schema }}.tickets_one_valid_per_seat IS
'At most one valid ticket a seat, whatever the code above it does.';
COMMENT ON INDEX {{ schema }}.tickets_show_seat_id_idx IS
'Serves the deletion of seats, and the history of a seat.';
COMMENT ON INDEX {{ schema }}.tickets_order_id_show_id_idx IS 'Serves the tickets of an order.';
COMMENT ON INDEX {{ schema }}.tickets_created_at_idx IS 'Serves the sales of the day.';

{% if manage_roles %}
GRANT SELECT (id, show_id, order_id, show_seat_id, price_in_cents, currency, status, created_at)
ON TABLE {{ schema }}.tickets TO {{ monitor_role }};
{% endif %}

-- object: orders/payment_events.sql sha256=68babe67ed6a2ad9159e93ea726e515a4d5ba9cbbaef5c83097c9df7b02b5855
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
'payment (confirm_payment), failure (fail_payment), refund or dispute: the same payment may first '
'fail and then succeed.';
COMMENT ON COLUMN {{ schema }}.payment_events.amount_in_cents IS
'The amount paid, in the minor unit of the currency of the order; NULL for a failure.';
COMMENT ON COLUMN {{ schema }}.payment_events.success IS 'The answer: whether it was accepted.';
COMMENT ON COLUMN {{ schema }}.payment_events.order_status IS
'The answer: status of the order after it.';
COMMENT ON COLUMN {{ schema }}.payment_events.ticket_ids IS 'The answer: the tickets issued.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_code IS 'The answer: why it was refused.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_message IS
'The answer: the message for the error code.';
COMMENT ON COLUMN {{ schema }}.payment_events.created_at IS 'When it was first received.';
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
COMMENT ON TRIGGER payment_events_append_only ON {{ schema }}.payment_events IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER payment_events_no_truncate ON {{ schema }}.payment_events IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    provider, show_id, order_id, kind, amount_in_cents, success, order_status, error_code,
    created_at
)
ON TABLE {{ schema }}.payment_events TO {{ monitor_role }};
{% endif %}

-- object: orders/refunds.sql sha256=6d258d9c4ecbf0f949b2052e1d915a3cb6d3886d8d3f9c33dae7b49ed8db8994
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
'Refunds, due and done. Every payment that bought no tickets has a row. refund_order() writes and '
'settles the rows of an order''s own payment; for any other payment, set status and done_at by '
'hand when the money was given back.';
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

-- object: orders/log_order_failure.sql sha256=a2478ea622111fc58259eaa64d504e01c6ad4851f0bcce7cdf533c22bdc4a455
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

-- object: orders/retake_seats.sql sha256=2814da03de0400429f08785d9939272a5ead48af5b108b831ce875c877c4ba7a
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
'Makes the claims of a locked reservation live again after its time, if all seats are free; '
'returns whether they were. The seats stay locked.';

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

-- object: orders/confirm_payment.sql sha256=e3648ef87ca6d074cf4eaa29c89c9366d618daa6ed7eac618a94175574b397ff
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
                    hold.status,
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
                            show_id, order_id, show_seat_id, price_in_cents, currency
                        )
                        SELECT
                            p_show_id,
                            v_order.id,
                            claim.show_seat_id,
                            claim.price_in_cents,
                            claim.currency
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

-- object: orders/refund_order.sql sha256=7fb4832d0a5691c5a7be70cc4e2b028f3ba9e0cb2e775a3358d393e8134c588f
-- Called when the money was given back. Seats that were sold can be sold again.
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
    v_seat_ids uuid[];
    v_ticket_ids uuid[];
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

            -- An order that is refund_due has no tickets: its seats may have another buyer by now,
            -- and the statements below find no rows.
            PERFORM
            FROM {{ schema }}.show_seats AS seat
            WHERE
                v_order.status = 'paid'
                AND seat.show_id = p_show_id
                AND seat.id = ANY(v_order.seat_ids)
            ORDER BY seat.id
            FOR UPDATE;

            WITH returned AS (
                UPDATE {{ schema }}.tickets
                SET status = 'refunded'
                WHERE
                    tickets.order_id = v_order.id
                    AND tickets.show_id = p_show_id
                    -- The valid ones, in a form that does not match the index of all valid tickets.
                    AND tickets.status NOT IN ('cancelled', 'refunded')
                RETURNING
                    tickets.id,
                    tickets.show_seat_id
            )

            SELECT
                COALESCE(array_agg(returned.id ORDER BY returned.id), '{}'),
                COALESCE(array_agg(returned.show_seat_id), '{}')
            INTO
                v_ticket_ids,
                v_seat_ids
            FROM returned;

            UPDATE {{ schema }}.reservation_seats
            SET released_at = now()
            WHERE
                reservation_seats.reservation_id = v_order.reservation_id
                AND reservation_seats.show_id = p_show_id
                AND reservation_seats.show_seat_id = ANY(v_seat_ids);

            UPDATE {{ schema }}.show_seats
            SET status = 'available'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_seat_ids)
                AND show_seats.status = 'sold';

            IF v_order.status = 'refund_due' THEN
                -- This refund does not cover other payments for the order: a second one, or one
                -- with a wrong amount.
                UPDATE {{ schema }}.refunds
                SET
                    status = 'done',
                    done_at = now()
                WHERE
                    refunds.order_id = v_order.id
                    AND refunds.show_id = p_show_id
                    AND refunds.status = 'due'
                    AND refunds.reason IN ('late_payment', 'show_cancelled');
            ELSIF v_order.refunded_amount_in_cents < v_order.total_amount_in_cents THEN
                INSERT INTO {{ schema }}.refunds (
                    show_id, order_id, ticket_ids, amount_in_cents, currency, reason, status,
                    payment_provider, payment_event_id, done_at
                )
                SELECT
                    p_show_id,
                    v_order.id,
                    v_ticket_ids,
                    v_order.total_amount_in_cents - v_order.refunded_amount_in_cents,
                    v_order.currency,
                    CASE show.status
                        WHEN 'cancelled' THEN 'show_cancelled'
                        ELSE 'tickets_cancelled'
                    END,
                    'done',
                    v_order.payment_provider,
                    (
                        SELECT paid.event_id
                        FROM {{ schema }}.payment_events AS paid
                        WHERE
                            paid.order_id = v_order.id
                            AND paid.show_id = p_show_id
                            AND paid.kind = 'payment'
                            AND paid.success
                    ),
                    now()
                FROM {{ schema }}.shows AS show
                WHERE show.id = p_show_id;
            END IF;

            UPDATE {{ schema }}.ticket_orders
            SET
                status = 'refunded',
                refunded_amount_in_cents = ticket_orders.total_amount_in_cents
            WHERE
                ticket_orders.show_id = p_show_id
                AND ticket_orders.id = v_order.id;
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
        seats_released := cardinality(v_seat_ids);
    ELSE
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
'Records that an order, paid or refund_due, was refunded, also in refunds, and frees its seats. '
'Error codes: NOT_FOUND, ORDER_NOT_REFUNDABLE, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.refund_order(uuid, uuid) TO {{ app_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
