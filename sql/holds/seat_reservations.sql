-- Holds, from reserve_seats() until they are completed, released or expired.
CREATE TABLE {{ schema }}.seat_reservations (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    reservation_token {{ internal_schema }}.reservation_token NOT NULL,
    -- The types limit the lengths: every statement that writes parses each CHECK of the table
    -- again, 2 us each, and this table is on the hot path.
    session_id varchar(200) NOT NULL,
    user_id varchar(200),
    email varchar(320),
    user_agent varchar(1000),
    ip_address inet,
    status {{ internal_schema }}.reservation_status NOT NULL DEFAULT 'active',
    is_active boolean NOT NULL GENERATED ALWAYS AS (status = 'active') STORED,
    expires_at timestamptz NOT NULL,
    extension_count integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT seat_reservations_pkey PRIMARY KEY (id, show_id),
    CONSTRAINT seat_reservations_reservation_token_show_id_key UNIQUE (reservation_token, show_id),
    -- No foreign key to the show: each hold would lock that one row, which becomes a MultiXact as
    -- soon as two buyers do. The claims of a hold are of seats, and seats are of a show.
    CONSTRAINT seat_reservations_reservation_token_check
    CHECK (starts_with(reservation_token, encode(uuid_send(show_id), 'hex'))),
    CONSTRAINT seat_reservations_session_id_check CHECK (session_id ~ '[^[:space:]]'),
    CONSTRAINT seat_reservations_expires_at_check CHECK (isfinite(expires_at)),
    CONSTRAINT seat_reservations_extension_count_check CHECK (extension_count >= 0),
    CONSTRAINT seat_reservations_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT seat_reservations_ended_at_check
    CHECK ((status = 'active') = (ended_at IS NULL) AND isfinite(ended_at))
);

-- The predicates of the next two indexes mean the same, and are written differently on purpose.
-- Both indexes are empty while nothing is held, so that with the statistics of a quiet night a full
-- scan of either seems to cost nothing; on the day of the sale it does. A statement with
-- status = 'active' can only use this one, by both of its columns:
CREATE UNIQUE INDEX seat_reservations_one_active_per_session
ON {{ schema }}.seat_reservations (session_id, show_id) WHERE status = 'active';

-- and a statement with is_active, as in monitoring and cleanup, only this one.
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
'Holds on seats, past and present. A hold is over when expires_at has come, whether or not the '
'cleanup has run.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.id IS 'Key, together with show_id.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.reservation_token IS
'Secret that the shop passes, together with the session, to extend, release or order. Begins with '
'the id of the show, so that whoever has it knows the show.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.session_id IS
'The session of the shop that holds the seats.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.user_id IS
'The account in the shop, if the buyer is logged in. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.email IS
'E-mail address of the buyer, if known. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.user_agent IS
'Browser of the buyer, if known. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.ip_address IS
'IP address of the buyer, if known. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.status IS
'active, or how it ended: completed (sold), released (given back), expired (its time was over).';
COMMENT ON COLUMN {{ schema }}.seat_reservations.is_active IS
'Whether nothing has ended it yet. An overdue hold is still active: live ones also have '
'expires_at > now().';
COMMENT ON COLUMN {{ schema }}.seat_reservations.expires_at IS
'When the hold is over: this column decides, not the cleanup. May be changed by hand.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.extension_count IS
'How often it has been extended.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.created_at IS 'When the seats were held.';
COMMENT ON COLUMN {{ schema }}.seat_reservations.ended_at IS
'When it was completed, released or expired.';
COMMENT ON CONSTRAINT seat_reservations_pkey ON {{ schema }}.seat_reservations IS
'Starts with id, which serves look-ups by id alone; show_id excludes references across shows.';
COMMENT ON CONSTRAINT seat_reservations_reservation_token_show_id_key
ON {{ schema }}.seat_reservations IS
'A token identifies one reservation. Serves the look-up by token.';
COMMENT ON CONSTRAINT seat_reservations_reservation_token_check
ON {{ schema }}.seat_reservations IS
'It begins with the id of the show.';
COMMENT ON CONSTRAINT seat_reservations_session_id_check ON {{ schema }}.seat_reservations IS
'Not blank.';
COMMENT ON CONSTRAINT seat_reservations_expires_at_check ON {{ schema }}.seat_reservations IS
'Finite: an infinite hold would never be over.';
COMMENT ON CONSTRAINT seat_reservations_extension_count_check
ON {{ schema }}.seat_reservations IS 'Not negative.';
COMMENT ON CONSTRAINT seat_reservations_ended_at_check ON {{ schema }}.seat_reservations IS
'Set exactly if it has ended.';
COMMENT ON INDEX {{ schema }}.seat_reservations_one_active_per_session IS
'At most one active hold per show and session. Serves all holds of a session.';
COMMENT ON INDEX {{ schema }}.seat_reservations_expires_at_id_idx IS
'Serves the cleanup and the count of active holds. Contains active holds only.';
COMMENT ON INDEX {{ schema }}.seat_reservations_ended_at_idx IS
'Serves the purge of personal data. Contains ended holds that still have some.';

{% if manage_roles %}
GRANT SELECT (id, show_id, status, is_active, expires_at, extension_count, created_at, ended_at)
ON TABLE {{ schema }}.seat_reservations TO {{ monitor_role }};
{% endif %}
