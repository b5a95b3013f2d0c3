-- 0003: Reservations and their claims on seats.
-- A template, frozen by `ticketdb revision`.

-- object: tables/seat_reservations.sql sha256=9db6ea88451b4de471ea6099e773e502b8d8e0c67b67f93f3f2f82ac5d41ffe3
-- Holds. A hold lives from reserve_seats until it is completed, released, or over.
CREATE TABLE {{ schema }}.seat_reservations (
    id uuid NOT NULL DEFAULT {{ schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    -- The first half is time-ordered for the sake of the index, the second is 122 random bits.
    reservation_token text NOT NULL
    DEFAULT encode(uuid_send({{ schema }}.uuid_v7()) || uuid_send(gen_random_uuid()), 'hex'),
    -- Bounded by type: every statement that writes parses each CHECK of the table anew, 2 us
    -- apiece, and this one is hot.
    session_id varchar(200) NOT NULL,
    user_id varchar(200),
    email varchar(320),
    user_agent varchar(1000),
    ip_address inet,
    status text NOT NULL DEFAULT 'active',
    is_active boolean NOT NULL GENERATED ALWAYS AS (status = 'active') STORED,
    expires_at timestamptz NOT NULL,
    extension_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT seat_reservations_pkey PRIMARY KEY (id, show_id),
    CONSTRAINT seat_reservations_reservation_token_show_id_key UNIQUE (reservation_token, show_id),
    CONSTRAINT seat_reservations_show_id_fkey
    FOREIGN KEY (show_id) REFERENCES {{ schema }}.shows (id),
    CONSTRAINT seat_reservations_session_id_check CHECK (session_id ~ '[^[:space:]]'),
    CONSTRAINT seat_reservations_status_check
    CHECK (status IN ('active', 'completed', 'released', 'expired')),
    CONSTRAINT seat_reservations_expires_at_check CHECK (isfinite(expires_at)),
    CONSTRAINT seat_reservations_extension_count_check CHECK (extension_count >= 0),
    CONSTRAINT seat_reservations_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT seat_reservations_ended_at_check
    CHECK ((status = 'active') = (ended_at IS NULL) AND isfinite(ended_at))
);

-- The two predicates mean the same and are written differently on purpose. Either index is empty
-- while nothing is held, so that scanning it whole looks free to a planner with the statistics of a
-- quiet night; on the day of the sale it is not. A statement that asks for status = 'active' can
-- only mean this one, with both of its columns:
CREATE UNIQUE INDEX seat_reservations_one_active_per_session
ON {{ schema }}.seat_reservations (show_id, session_id) WHERE status = 'active';

-- and one that asks for is_active, as monitoring and cleanup do, only this one.
CREATE INDEX seat_reservations_expires_at_id_idx
ON {{ schema }}.seat_reservations (expires_at, id) WHERE is_active;

CREATE INDEX seat_reservations_ended_at_idx
ON {{ schema }}.seat_reservations (ended_at)
WHERE
ended_at IS NOT NULL
AND (
    user_id IS NOT NULL
    OR email IS NOT NULL
    OR user_agent IS NOT NULL
    OR ip_address IS NOT NULL
);

COMMENT ON TABLE {{ schema }}.seat_reservations IS
'Holds on seats, past and present. A hold is over when expires_at has come, whether or not '
'cleanup has run.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.id IS 'Key, together with the show.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.show_id IS 'The show; distribution column.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.reservation_token IS
'Secret that the buyer shows, together with the session, to extend, release or order.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.session_id IS
'The session of the shop that holds the seats.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.user_id IS
'The account of the shop, where the buyer is logged in.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.email IS
'Address of the buyer, where known. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.user_agent IS
'Browser of the buyer, where known. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.ip_address IS
'Address of the buyer, where known. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.status IS
'active, or how it ended: completed (sold), released (given back), expired (ran out).';
COMMENT ON COLUMN {{ schema }}.seat_reservations.is_active IS
'Whether it has not been ended. One that is over stays active until somebody ends it: ask for '
'expires_at > now() too.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.expires_at IS
'When the hold is over. This column decides; it may be moved by hand.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.extension_count IS
'How often it has been extended.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.created_at IS 'When the seats were held.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.ended_at IS
'When it was completed, released or found expired.';
COMMENT ON CONSTRAINT seat_reservations_pkey ON {{ schema }}.seat_reservations IS
'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';
COMMENT ON CONSTRAINT seat_reservations_reservation_token_show_id_key
ON {{ schema }}.seat_reservations IS
'Tokens are unique; serves the look-up by token.';
COMMENT ON CONSTRAINT seat_reservations_show_id_fkey
ON {{ schema }}.seat_reservations IS 'The show exists.';
COMMENT ON CONSTRAINT seat_reservations_session_id_check ON {{ schema }}.seat_reservations IS
'Not blank.';
COMMENT ON CONSTRAINT seat_reservations_status_check
ON {{ schema }}.seat_reservations IS 'The statuses there are.';
COMMENT ON CONSTRAINT seat_reservations_expires_at_check ON {{ schema }}.seat_reservations IS
'Finite: a hold for ever would never be cleaned up.';
COMMENT ON CONSTRAINT seat_reservations_extension_count_check
ON {{ schema }}.seat_reservations IS 'Not negative.';
COMMENT ON CONSTRAINT seat_reservations_created_at_check
ON {{ schema }}.seat_reservations IS 'Finite.';
COMMENT ON CONSTRAINT seat_reservations_ended_at_check ON {{ schema }}.seat_reservations IS
'Set exactly when it has ended.';
COMMENT ON INDEX {{ schema }}.seat_reservations_one_active_per_session IS
'At most one active hold per show and session.';
COMMENT ON INDEX {{ schema }}.seat_reservations_expires_at_id_idx IS
'Serves cleanup and the count of active holds; as large as there are active holds.';
COMMENT ON INDEX {{ schema }}.seat_reservations_ended_at_idx IS
'Serves the purge of personal data: holds that have ended and still have any.';

{% if manage_roles %}
GRANT SELECT (id, show_id, status, is_active, expires_at, extension_count, created_at, ended_at)
ON TABLE {{ schema }}.seat_reservations TO {{ monitor_role }};
{% endif %}

-- object: tables/reservation_seats.sql sha256=554687c8a5b8d335afdb23ab375f9a23ee5377761f78b160a189d54d6daca929
-- Claims: which reservation has which seat, from hold to sale. A claim is live until it is
-- released.
CREATE TABLE {{ schema }}.reservation_seats (
    reservation_id uuid NOT NULL,
    show_seat_id uuid NOT NULL,
    show_id uuid NOT NULL,
    price_in_cents bigint NOT NULL,
    currency text NOT NULL,
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

COMMENT ON TABLE {{ schema }}.reservation_seats IS
'Claims of reservations on seats. Live while held and after the sale; released when given back, '
'expired or refunded.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.reservation_id IS
'The reservation that claims the seat.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.show_seat_id IS 'The seat.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.show_id IS
'The show of both; distribution column.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.price_in_cents IS
'Price when the seat was held, in hundredths of the currency: what the buyer was told is what is '
'charged.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.currency IS
'ISO 4217 code when the seat was held.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.released_at IS
'When the claim ended; NULL while it is live.';
COMMENT ON CONSTRAINT reservation_seats_pkey ON {{ schema }}.reservation_seats IS
'A reservation claims a seat once; serves the seats of a reservation.';
COMMENT ON CONSTRAINT reservation_seats_reservation_id_show_id_fkey
ON {{ schema }}.reservation_seats IS
'The reservation exists, and is of the same show.';
COMMENT ON CONSTRAINT reservation_seats_show_seat_id_show_id_fkey
ON {{ schema }}.reservation_seats IS
'The seat exists, and is of the same show.';
COMMENT ON CONSTRAINT reservation_seats_price_in_cents_check ON {{ schema }}.reservation_seats IS
'From nothing to a billion.';
COMMENT ON CONSTRAINT reservation_seats_currency_check
ON {{ schema }}.reservation_seats IS 'Three capital letters.';
COMMENT ON CONSTRAINT reservation_seats_released_at_check
ON {{ schema }}.reservation_seats IS 'Finite.';
COMMENT ON INDEX {{ schema }}.reservation_seats_no_double_booking IS
'At most one live claim a seat, whatever the code above it does: a seat cannot be held or sold '
'twice.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_seats TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
