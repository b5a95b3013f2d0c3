-- 0004: Orders, tickets and payment events.
-- A template, frozen by `ticketdb revision`.

-- object: tables/ticket_orders.sql sha256=057ba3390090fb2d1c758938c92e4cd221e0eef1c6c74520b84082e48004a704
-- Orders: what a buyer is to pay for the seats that a reservation holds.
CREATE TABLE {{ schema }}.ticket_orders (
    id uuid NOT NULL DEFAULT {{ schema }}.uuid_v7(),
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

-- As large as there are orders of which a part was given back.
CREATE INDEX ticket_orders_created_at_refunded_amount_in_cents_idx
ON {{ schema }}.ticket_orders (created_at, refunded_amount_in_cents)
WHERE status = 'paid' AND refunded_amount_in_cents > 0;

CREATE INDEX ticket_orders_created_at_id_idx
ON {{ schema }}.ticket_orders (created_at, id) WHERE status = 'pending';

CREATE INDEX ticket_orders_created_at_show_id_idx
ON {{ schema }}.ticket_orders (created_at, show_id) WHERE error_message IS NOT NULL;

COMMENT ON TABLE {{ schema }}.ticket_orders IS 'Orders and how their payment went.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.id IS 'Key, together with the show.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.reservation_id IS
'The reservation that the order pays for.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.seat_ids IS
'The seats when it was ordered, in order. A late payment takes exactly these again, or none.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.status IS
'pending: waits for payment; paid: tickets issued; failed: the provider refused, another try may '
'succeed; cancelled: see cancel_reason; refund_due: paid, but the seats are gone, owe the '
'money; refunded: given back.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.total_amount_in_cents IS
'What is to be paid, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.idempotency_key IS
'The caller''s name for the attempt that made the order. All keys that name it are in '
'ticket_order_keys.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_provider IS
'Who takes the money, such as stripe: the last that was named until money comes, then the one '
'that it came from.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_intent_id IS
'The provider''s id of the payment: the last that was named until money comes, then the one that '
'it came with. Earlier ones are in payment_intents.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.error_message IS 'Why the last payment failed.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.cancel_reason IS
'Why it was cancelled: released (seats were given back), superseded (another order of the hold was '
'paid), overdue (the hold ran out unpaid). Only what is overdue can still be paid, late.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.refunded_amount_in_cents IS
'How much of what was paid for it has been given back, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.created_at IS 'When it was ordered.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.paid_at IS
'When the money came; also where it is to be given back.';
COMMENT ON CONSTRAINT ticket_orders_pkey ON {{ schema }}.ticket_orders IS
'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';
COMMENT ON CONSTRAINT ticket_orders_idempotency_key_show_id_key ON {{ schema }}.ticket_orders IS
'A key is used once within a show.';
COMMENT ON CONSTRAINT ticket_orders_reservation_id_show_id_fkey ON {{ schema }}.ticket_orders IS
'The reservation exists, and is of the same show.';
COMMENT ON CONSTRAINT ticket_orders_seat_ids_check
ON {{ schema }}.ticket_orders IS 'At least one seat.';
COMMENT ON CONSTRAINT ticket_orders_status_check
ON {{ schema }}.ticket_orders IS 'The statuses there are.';
COMMENT ON CONSTRAINT ticket_orders_total_amount_in_cents_check ON {{ schema }}.ticket_orders IS
'A thousand seats of the highest price.';
COMMENT ON CONSTRAINT ticket_orders_cancel_reason_check
ON {{ schema }}.ticket_orders IS 'The reasons there are.';
COMMENT ON CONSTRAINT ticket_orders_refunded_amount_in_cents_check ON {{ schema }}.ticket_orders IS
'Not more than was paid.';
COMMENT ON CONSTRAINT ticket_orders_currency_check
ON {{ schema }}.ticket_orders IS 'Three capital letters.';
COMMENT ON CONSTRAINT ticket_orders_idempotency_key_check ON {{ schema }}.ticket_orders IS
'Not blank, and short enough to be indexed.';
COMMENT ON CONSTRAINT ticket_orders_payment_provider_check
ON {{ schema }}.ticket_orders IS 'Bounded.';
COMMENT ON CONSTRAINT ticket_orders_payment_intent_id_check
ON {{ schema }}.ticket_orders IS 'Bounded.';
COMMENT ON CONSTRAINT ticket_orders_created_at_check ON {{ schema }}.ticket_orders IS 'Finite.';
COMMENT ON CONSTRAINT ticket_orders_paid_at_check ON {{ schema }}.ticket_orders IS
'Set exactly when money has come.';
COMMENT ON INDEX {{ schema }}.ticket_orders_one_open_per_reservation IS
'A reservation is paid for by one order at a time.';
COMMENT ON INDEX {{ schema }}.ticket_orders_reservation_id_show_id_idx IS
'Serves all orders of a reservation, when seats are given back or one of them is paid.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_idx IS
'Serves payment metrics of the last hours.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_refunded_amount_in_cents_idx IS
'Serves the revenue of a day, less what was given back.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_id_idx IS
'Serves the cleanup: orders that wait for a payment.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_show_id_idx IS
'Serves the purge of personal data: orders with words of a provider.';

{% if manage_roles %}
GRANT SELECT (
    id, show_id, reservation_id, seat_ids, status, total_amount_in_cents, currency,
    payment_provider, cancel_reason, refunded_amount_in_cents, created_at, paid_at
) ON TABLE {{ schema }}.ticket_orders TO {{ monitor_role }};
{% endif %}

-- object: tables/ticket_order_keys.sql sha256=f5863e7bf0e0ad205a2018e101e0badf813283275d3d7adcc6887f89c5eab3aa
-- By which keys callers know an order. A reservation may be ordered under one key and asked for
-- again under another: each names that order for ever, and never a second one.
CREATE TABLE {{ schema }}.ticket_order_keys (
    idempotency_key text NOT NULL,
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    CONSTRAINT ticket_order_keys_pkey PRIMARY KEY (idempotency_key, show_id),
    CONSTRAINT ticket_order_keys_order_id_show_id_fkey
    FOREIGN KEY (order_id, show_id) REFERENCES {{ schema }}.ticket_orders (id, show_id)
);

-- Without the show: a look-up by key and show is not to be mistaken for one that it could serve.
CREATE INDEX ticket_order_keys_order_id_idx ON {{ schema }}.ticket_order_keys (order_id);

COMMENT ON TABLE {{ schema }}.ticket_order_keys IS
'Idempotency keys of create_ticket_order(), each with the one order that it names.';
COMMENT ON COLUMN {{ schema }}.ticket_order_keys.idempotency_key IS
'The caller''s name for an attempt to order.';
COMMENT ON COLUMN {{ schema }}.ticket_order_keys.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.ticket_order_keys.order_id IS 'The order that it names.';
COMMENT ON CONSTRAINT ticket_order_keys_pkey ON {{ schema }}.ticket_order_keys IS
'A key names one order within a show.';
COMMENT ON CONSTRAINT ticket_order_keys_order_id_show_id_fkey ON {{ schema }}.ticket_order_keys IS
'The order exists, and is of the same show.';
COMMENT ON INDEX {{ schema }}.ticket_order_keys_order_id_idx IS
'Serves the keys of an order.';

-- object: tables/payment_intents.sql sha256=406c1a9934d1b7123987d29da4e97c415fcfcf0acee08be4317661a3b2dbd61c
-- Payments that were begun for an order before the one that its row names: the buyer changed the
-- means of payment, or came back through another tab. Money may still come from any of them.
CREATE TABLE {{ schema }}.payment_intents (
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
ON {{ schema }}.payment_intents (order_id, show_id);

COMMENT ON TABLE {{ schema }}.payment_intents IS
'Earlier payments of an order: those that ticket_orders.payment_intent_id no longer names.';
COMMENT ON COLUMN {{ schema }}.payment_intents.payment_intent_id IS
'The provider''s id of the payment.';
COMMENT ON COLUMN {{ schema }}.payment_intents.payment_provider IS
'Who was to take the money; empty where nobody was named.';
COMMENT ON COLUMN {{ schema }}.payment_intents.order_id IS 'The order it was begun for.';
COMMENT ON COLUMN {{ schema }}.payment_intents.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.payment_intents.created_at IS
'When another took its place in the order.';
COMMENT ON CONSTRAINT payment_intents_pkey ON {{ schema }}.payment_intents IS
'Remembered once for each order; serves the look-up by the provider''s id.';
COMMENT ON CONSTRAINT payment_intents_order_id_show_id_fkey ON {{ schema }}.payment_intents IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT payment_intents_created_at_check
ON {{ schema }}.payment_intents IS 'Finite.';
COMMENT ON INDEX {{ schema }}.payment_intents_order_id_show_id_idx IS
'Serves the payments of an order.';

-- object: tables/tickets.sql sha256=ba1b0ac7e69fa94fa9c203197d68cade399673773784087d101d99acb0516c70
-- Tickets: the right to sit on a seat, issued when an order is paid.
CREATE TABLE {{ schema }}.tickets (
    id uuid NOT NULL DEFAULT {{ schema }}.uuid_v7(),
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

CREATE INDEX tickets_order_id_show_id_idx ON {{ schema }}.tickets (order_id, show_id);

CREATE INDEX tickets_created_at_idx ON {{ schema }}.tickets (created_at);

COMMENT ON TABLE {{ schema }}.tickets IS 'Tickets of paid orders, one a seat.';
COMMENT ON COLUMN {{ schema }}.tickets.id IS 'Key, together with the show.';
COMMENT ON COLUMN {{ schema }}.tickets.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.tickets.order_id IS 'The order that paid for it.';
COMMENT ON COLUMN {{ schema }}.tickets.show_seat_id IS 'The seat.';
COMMENT ON COLUMN {{ schema }}.tickets.price_in_cents IS
'What was paid, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.tickets.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.tickets.ticket_code IS
'Secret printed on the ticket, 122 random bits: whoever shows it gets in.';
COMMENT ON COLUMN {{ schema }}.tickets.status IS 'valid, cancelled by the house, or refunded.';
COMMENT ON COLUMN {{ schema }}.tickets.created_at IS 'When it was issued.';
COMMENT ON CONSTRAINT tickets_pkey ON {{ schema }}.tickets IS
'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';
COMMENT ON CONSTRAINT tickets_ticket_code_show_id_key ON {{ schema }}.tickets IS
'Codes are unique; serves the look-up at the door.';
COMMENT ON CONSTRAINT tickets_order_id_show_id_fkey ON {{ schema }}.tickets IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT tickets_show_seat_id_show_id_fkey ON {{ schema }}.tickets IS
'The seat exists, and is of the same show.';
COMMENT ON CONSTRAINT tickets_price_in_cents_check
ON {{ schema }}.tickets IS 'From nothing to a billion.';
COMMENT ON CONSTRAINT tickets_currency_check ON {{ schema }}.tickets IS 'Three capital letters.';
COMMENT ON CONSTRAINT tickets_ticket_code_check
ON {{ schema }}.tickets IS 'Long enough not to be guessed.';
COMMENT ON CONSTRAINT tickets_status_check ON {{ schema }}.tickets IS 'The statuses there are.';
COMMENT ON CONSTRAINT tickets_created_at_check ON {{ schema }}.tickets IS 'Finite.';
COMMENT ON INDEX {{ schema }}.tickets_one_valid_per_seat IS
'At most one valid ticket a seat, whatever the code above it does.';
COMMENT ON INDEX {{ schema }}.tickets_order_id_show_id_idx IS 'Serves the tickets of an order.';
COMMENT ON INDEX {{ schema }}.tickets_created_at_idx IS 'Serves sales of the day.';

{% if manage_roles %}
GRANT SELECT (id, show_id, order_id, show_seat_id, price_in_cents, currency, status, created_at)
ON TABLE {{ schema }}.tickets TO {{ monitor_role }};
{% endif %}

-- object: tables/payment_events.sql sha256=ef4c8ecf86ea84bfeca37b4d9036fb829b524cc6b80d26a46cbc6bda5f391ea8
-- What payment providers told us, and what we answered: a webhook that is repeated gets the first
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

-- ENABLE ALWAYS: session_replication_role = replica does not get around them.
CREATE TRIGGER payment_events_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.payment_events
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.refuse_change(
    'What a provider has reported stays on record.'
);

CREATE TRIGGER payment_events_no_truncate
BEFORE TRUNCATE ON {{ schema }}.payment_events
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'What a provider has reported stays on record.'
);

ALTER TABLE {{ schema }}.payment_events
ENABLE ALWAYS TRIGGER payment_events_append_only;
ALTER TABLE {{ schema }}.payment_events
ENABLE ALWAYS TRIGGER payment_events_no_truncate;

COMMENT ON TABLE {{ schema }}.payment_events IS
'Events of payment providers, each stored once for each order and kind, with the answer that was '
'given. Append-only.';
COMMENT ON COLUMN {{ schema }}.payment_events.provider IS 'Who sent it, such as stripe.';
COMMENT ON COLUMN {{ schema }}.payment_events.event_id IS 'The provider''s id of the event.';
COMMENT ON COLUMN {{ schema }}.payment_events.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.payment_events.order_id IS 'The order that it is about.';
COMMENT ON COLUMN {{ schema }}.payment_events.kind IS
'payment (confirm_payment), failure (fail_payment), refund or dispute: the same payment may first '
'fail and then succeed.';
COMMENT ON COLUMN {{ schema }}.payment_events.amount_in_cents IS
'What was paid, in the minor unit of the currency of the order; NULL for a failure.';
COMMENT ON COLUMN {{ schema }}.payment_events.success IS 'The answer: whether it was accepted.';
COMMENT ON COLUMN {{ schema }}.payment_events.order_status IS
'The answer: status of the order after it.';
COMMENT ON COLUMN {{ schema }}.payment_events.ticket_ids IS 'The answer: the tickets issued.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_code IS 'The answer: why it was refused.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_message IS 'The answer, in words.';
COMMENT ON COLUMN {{ schema }}.payment_events.created_at IS 'When it was received first.';
COMMENT ON CONSTRAINT payment_events_pkey
ON {{ schema }}.payment_events IS
'An event is handled once for each order: one transfer may pay for two.';
COMMENT ON CONSTRAINT payment_events_order_id_show_id_fkey ON {{ schema }}.payment_events IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT payment_events_provider_check
ON {{ schema }}.payment_events IS 'Not blank, bounded.';
COMMENT ON CONSTRAINT payment_events_event_id_check
ON {{ schema }}.payment_events IS 'Not blank, bounded.';
COMMENT ON CONSTRAINT payment_events_kind_check
ON {{ schema }}.payment_events IS 'The kinds there are.';
COMMENT ON CONSTRAINT payment_events_error_code_check ON {{ schema }}.payment_events IS
'A refusal has a reason, and nothing else has.';
COMMENT ON CONSTRAINT payment_events_created_at_check ON {{ schema }}.payment_events IS 'Finite.';
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

-- object: tables/refunds.sql sha256=3a8b36ca312c15ab55e9f7e411bd1cfb47f3fcd3e50a1ad65bd08ba7bd90f445
-- Money that came and bought no tickets, or whose tickets were taken back. Written in the
-- transaction that finds it out, so that none of it is ever without a row.
CREATE TABLE {{ schema }}.refunds (
    id uuid NOT NULL DEFAULT {{ schema }}.uuid_v7(),
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

-- As large as there is money to give back.
CREATE INDEX refunds_reason_currency_created_at_idx
ON {{ schema }}.refunds (reason, currency, created_at) WHERE status = 'due';

COMMENT ON TABLE {{ schema }}.refunds IS
'Money to give back, and whether it has been. Every payment that bought no tickets has a row. '
'refund_order() writes and settles the rows of an order''s own payment; of any other, set status '
'and done_at by hand when the money has gone back.';
COMMENT ON COLUMN {{ schema }}.refunds.id IS 'Key, together with the show.';
COMMENT ON COLUMN {{ schema }}.refunds.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.refunds.order_id IS 'The order that the money came for.';
COMMENT ON COLUMN {{ schema }}.refunds.ticket_ids IS
'The tickets that were taken back for it; empty where the money bought none.';
COMMENT ON COLUMN {{ schema }}.refunds.amount_in_cents IS
'What is to be given back, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.refunds.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.refunds.reason IS
'late_payment: the seats were gone; double_payment: the order had its money; amount_mismatch: not '
'the amount of the order; show_cancelled; tickets_cancelled; dispute: the bank took it back.';
COMMENT ON COLUMN {{ schema }}.refunds.status IS 'due: owed to the buyer; done: given back.';
COMMENT ON COLUMN {{ schema }}.refunds.payment_provider IS
'Who took the money, such as stripe; NULL where none did.';
COMMENT ON COLUMN {{ schema }}.refunds.payment_event_id IS
'The provider''s event that the money came with, as in payment_events.';
COMMENT ON COLUMN {{ schema }}.refunds.created_at IS 'When it was found to be owed.';
COMMENT ON COLUMN {{ schema }}.refunds.done_at IS 'When it was recorded as given back.';
COMMENT ON CONSTRAINT refunds_pkey ON {{ schema }}.refunds IS
'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';
COMMENT ON CONSTRAINT refunds_order_id_show_id_fkey ON {{ schema }}.refunds IS
'The order exists, and is of the same show.';
COMMENT ON CONSTRAINT refunds_amount_in_cents_check ON {{ schema }}.refunds IS
'There is something to give back.';
COMMENT ON CONSTRAINT refunds_currency_check ON {{ schema }}.refunds IS 'Three capital letters.';
COMMENT ON CONSTRAINT refunds_reason_check ON {{ schema }}.refunds IS 'The reasons there are.';
COMMENT ON CONSTRAINT refunds_status_check ON {{ schema }}.refunds IS 'The statuses there are.';
COMMENT ON CONSTRAINT refunds_payment_provider_check ON {{ schema }}.refunds IS 'Bounded.';
COMMENT ON CONSTRAINT refunds_payment_event_id_check ON {{ schema }}.refunds IS 'Bounded.';
COMMENT ON CONSTRAINT refunds_created_at_check ON {{ schema }}.refunds IS 'Finite.';
COMMENT ON CONSTRAINT refunds_done_at_check ON {{ schema }}.refunds IS
'Set exactly when it has been given back.';
COMMENT ON INDEX {{ schema }}.refunds_order_id_show_id_idx IS 'Serves the refunds of an order.';
COMMENT ON INDEX {{ schema }}.refunds_reason_currency_created_at_idx IS
'Serves what is due, by reason and currency, and the oldest of it.';

{% if manage_roles %}
GRANT SELECT (
    id, show_id, order_id, amount_in_cents, currency, reason, status, payment_provider, created_at,
    done_at
) ON TABLE {{ schema }}.refunds TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
