-- 0004: Orders, tickets and payment events.
-- A template, frozen by `ticketdb revision`.

-- object: tables/ticket_orders.sql sha256=fe1111c80199115a15670d38b86b77dc3bd05b8e3a0c136cb982f62e2b3f2e21
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

COMMENT ON TABLE {{ schema }}.ticket_orders IS 'Orders and how their payment went.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.id IS 'Key, together with the show.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.reservation_id IS
'The reservation that the order pays for.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.seat_ids IS
'The seats when it was ordered, in order. A late payment takes exactly these again, or none.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.status IS
'pending: waits for payment; paid: tickets issued; failed: the provider refused, another try may '
'succeed; cancelled: seats were given back; refund_due: paid, but the seats are gone, owe the '
'money; refunded: given back.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.total_amount_in_cents IS
'What is to be paid, in hundredths of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.idempotency_key IS
'The caller''s name for the attempt: the same key returns the same order.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_provider IS
'Who takes the money, such as stripe.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_intent_id IS
'The provider''s id of the payment.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.error_message IS 'Why the last payment failed.';
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

{% if manage_roles %}
GRANT SELECT (
    id, show_id, reservation_id, seat_ids, status, total_amount_in_cents, currency,
    payment_provider, error_message, created_at, paid_at
) ON TABLE {{ schema }}.ticket_orders TO {{ monitor_role }};
{% endif %}

-- object: tables/tickets.sql sha256=7c7b0dd9c829e16586b203c092f1865e6ad109d782bb47ccd34760ae1bfef17a
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
'What was paid, in hundredths of the currency.';
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

-- object: tables/payment_events.sql sha256=45654e44f07bc8bd92c5333ff4655f74ced77b79ff75881b7db3e1695e9a5c96
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
    CONSTRAINT payment_events_pkey PRIMARY KEY (provider, event_id, show_id),
    CONSTRAINT payment_events_order_id_show_id_fkey
    FOREIGN KEY (order_id, show_id) REFERENCES {{ schema }}.ticket_orders (id, show_id),
    CONSTRAINT payment_events_provider_check
    CHECK (length(provider) <= 200 AND provider ~ '[^[:space:]]'),
    CONSTRAINT payment_events_event_id_check
    CHECK (length(event_id) <= 200 AND event_id ~ '[^[:space:]]'),
    CONSTRAINT payment_events_kind_check CHECK (kind IN ('payment', 'failure')),
    CONSTRAINT payment_events_error_code_check CHECK (success = (error_code IS NULL)),
    CONSTRAINT payment_events_created_at_check CHECK (isfinite(created_at))
);

COMMENT ON TABLE {{ schema }}.payment_events IS
'Events of payment providers, each stored once with the answer that was given.';
COMMENT ON COLUMN {{ schema }}.payment_events.provider IS 'Who sent it, such as stripe.';
COMMENT ON COLUMN {{ schema }}.payment_events.event_id IS 'The provider''s id of the event.';
COMMENT ON COLUMN {{ schema }}.payment_events.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.payment_events.order_id IS 'The order that it is about.';
COMMENT ON COLUMN {{ schema }}.payment_events.kind IS
'payment (confirm_payment) or failure (fail_payment).';
COMMENT ON COLUMN {{ schema }}.payment_events.amount_in_cents IS
'What was paid, in hundredths of the currency of the order; NULL for a failure.';
COMMENT ON COLUMN {{ schema }}.payment_events.success IS 'The answer: whether it was accepted.';
COMMENT ON COLUMN {{ schema }}.payment_events.order_status IS
'The answer: status of the order after it.';
COMMENT ON COLUMN {{ schema }}.payment_events.ticket_ids IS 'The answer: the tickets issued.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_code IS 'The answer: why it was refused.';
COMMENT ON COLUMN {{ schema }}.payment_events.error_message IS 'The answer, in words.';
COMMENT ON COLUMN {{ schema }}.payment_events.created_at IS 'When it was received first.';
COMMENT ON CONSTRAINT payment_events_pkey
ON {{ schema }}.payment_events IS 'An event is handled once.';
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

{% if manage_roles %}
GRANT SELECT (
    provider, show_id, order_id, kind, amount_in_cents, success, order_status, error_code,
    created_at
)
ON TABLE {{ schema }}.payment_events TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
