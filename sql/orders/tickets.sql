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
