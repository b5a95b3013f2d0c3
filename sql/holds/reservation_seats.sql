-- Claims: which reservation has which seat, from the hold to the sale. A claim is live until it is
-- released.
CREATE TABLE {{ schema }}.reservation_seats (
    reservation_id uuid NOT NULL,
    show_seat_id uuid NOT NULL,
    show_id uuid NOT NULL,
    price_in_cents bigint NOT NULL,
    currency text NOT NULL,
    ticket_type varchar(200),
    released_at timestamptz,
    CONSTRAINT reservation_seats_pkey PRIMARY KEY (reservation_id, show_seat_id, show_id),
    CONSTRAINT reservation_seats_reservation_id_show_id_fkey
    FOREIGN KEY (reservation_id, show_id) REFERENCES {{ schema }}.seat_reservations (id, show_id),
    CONSTRAINT reservation_seats_show_seat_id_show_id_fkey
    FOREIGN KEY (show_seat_id, show_id) REFERENCES {{ schema }}.show_seats (id, show_id),
    CONSTRAINT reservation_seats_price_in_cents_check
    CHECK (price_in_cents BETWEEN 0 AND 100000000000),
    CONSTRAINT reservation_seats_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT reservation_seats_released_at_check CHECK (isfinite(released_at))
);

CREATE UNIQUE INDEX reservation_seats_no_double_booking
ON {{ schema }}.reservation_seats (show_id, show_seat_id) WHERE released_at IS NULL;

-- Not partial, since a partial index does not serve a foreign key. Without the show, so that the
-- planner never reads all of it for a look-up by show.
CREATE INDEX reservation_seats_show_seat_id_idx
ON {{ schema }}.reservation_seats (show_seat_id);

COMMENT ON TABLE {{ schema }}.reservation_seats IS
'Claims of reservations on seats. Live while held and after the sale; released when given back, '
'expired or refunded.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.reservation_id IS
'The reservation that claims the seat.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.show_seat_id IS 'The seat.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.show_id IS 'The show of both; part of every key.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.price_in_cents IS
'Price when the seat was held, in the minor unit of the currency: the buyer pays the price that '
'the shop showed.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.currency IS
'ISO 4217 code when the seat was held.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.ticket_type IS
'What kind of ticket it becomes, such as child: a word of the shop; NULL if it gave none.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.released_at IS
'When the claim ended; NULL while it is live.';
COMMENT ON CONSTRAINT reservation_seats_pkey ON {{ schema }}.reservation_seats IS
'A reservation claims a seat once. Serves the seats of a reservation.';
COMMENT ON CONSTRAINT reservation_seats_reservation_id_show_id_fkey
ON {{ schema }}.reservation_seats IS
'The reservation exists, and is of the same show.';
COMMENT ON CONSTRAINT reservation_seats_show_seat_id_show_id_fkey
ON {{ schema }}.reservation_seats IS
'The seat exists, and is of the same show.';
COMMENT ON CONSTRAINT reservation_seats_price_in_cents_check ON {{ schema }}.reservation_seats IS
'From 0 to a billion units of a currency with two decimals.';
COMMENT ON CONSTRAINT reservation_seats_currency_check
ON {{ schema }}.reservation_seats IS 'A currency code: three capital letters.';
COMMENT ON INDEX {{ schema }}.reservation_seats_no_double_booking IS
'At most one live claim a seat, whatever the code above it does: a seat cannot be held or sold '
'twice.';
COMMENT ON INDEX {{ schema }}.reservation_seats_show_seat_id_idx IS
'Serves the deletion of seats, and the history of a seat.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_seats TO {{ monitor_role }};
{% endif %}
