-- Holds. A hold lives from reserve_seats until it is completed, released, or over.
CREATE TABLE {{ schema }}.seat_reservations (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    -- The first half is time-ordered for the sake of the index, the second is 122 random bits.
    reservation_token text NOT NULL
    DEFAULT encode(
        uuid_send({{ internal_schema }}.uuid_v7()) || uuid_send(gen_random_uuid()), 'hex'
    ),
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
