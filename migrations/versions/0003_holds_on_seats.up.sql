-- 0003: Holds on seats.
-- A template, frozen by `ticketdb revision`.

-- object: holds/seat_reservations.sql sha256=d4408daadf758eb0e206dd2e831f5dda975dcff067b8a53ab5ad4e4582afad8a
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

-- object: holds/reservation_seats.sql sha256=d559209c07f541b02cb9e77bc422e3877cfaa9d701a38bc2d6b189fc27ad3882
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

-- A full one: for the foreign key, a partial one is none. Of the seat alone, which is enough: a
-- look-up by show must never be tempted to read it from end to end.
CREATE INDEX reservation_seats_show_seat_id_idx
ON {{ schema }}.reservation_seats (show_seat_id);

COMMENT ON TABLE {{ schema }}.reservation_seats IS
'Claims of reservations on seats. Live while held and after the sale; released when given back, '
'expired or refunded.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.reservation_id IS
'The reservation that claims the seat.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.show_seat_id IS 'The seat.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.show_id IS
'The show of both; distribution column.';
COMMENT ON COLUMN {{ schema }}.reservation_seats.price_in_cents IS
'Price when the seat was held, in the minor unit of the currency: what the buyer was told is what '
'is charged.';
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
COMMENT ON INDEX {{ schema }}.reservation_seats_show_seat_id_idx IS
'Serves the deletion of seats, and the question who has ever held one.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_seats TO {{ monitor_role }};
{% endif %}

-- object: holds/sync_reserved_until.sql sha256=9486fdc9fc31f2fce681a7f801247bf19d398317c1e85c4f15719375bd686889
-- Trigger function: seat_reservations.expires_at decides, and a DBA may move it by hand; a copy on
-- the seats spares each buyer the look at the reservations behind them.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.sync_reserved_until()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_seat_ids uuid[];
BEGIN
    SELECT array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL)
    INTO v_seat_ids
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = NEW.id
        AND claim.show_id = NEW.show_id;
    -- Everybody locks seats in id order.
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = NEW.show_id
        AND seat.id = ANY(v_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    UPDATE {{ schema }}.show_seats
    SET reserved_until = NEW.expires_at
    WHERE
        show_seats.show_id = NEW.show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.reserved_by = NEW.id;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.sync_reserved_until() IS
'Trigger: copies a moved seat_reservations.expires_at to the seats that the reservation holds.';

-- object: holds/seat_reservations_sync_reserved_until.sql sha256=715a6a98ead7c45b449d80f525d918f410c2e72169fb6bba629a8d8a8f5453ce
CREATE OR REPLACE TRIGGER seat_reservations_sync_reserved_until
AFTER UPDATE OF expires_at ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (NEW.status = 'active' AND OLD.expires_at IS DISTINCT FROM NEW.expires_at)
EXECUTE FUNCTION {{ internal_schema }}.sync_reserved_until();

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_sync_reserved_until;

COMMENT ON TRIGGER seat_reservations_sync_reserved_until ON {{ schema }}.seat_reservations IS
'Keeps show_seats.reserved_until equal to the expires_at of the hold.';

-- object: holds/log_reservation_failure.sql sha256=296d2d34acb4da5b533acff2eabdcc98f725f224830d66844c6995c3105b3b34
-- For the functions that sell: a refused call is a row, since an exception would undo the line
-- that records it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_reservation_failure(
    p_function text,
    p_error_code text,
    p_error_message text,
    p_show_id uuid,
    p_reservation_id uuid,
    p_session_id text,
    p_seat_ids uuid[] DEFAULT NULL,
    p_user_agent text DEFAULT NULL,
    p_ip_address inet DEFAULT NULL,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Without its line in the log no call is answered. See wait_for_others(), which leaves time for it.
SET lock_timeout = '250ms'
AS $body$
BEGIN
    INSERT INTO {{ schema }}.seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids, error_code,
        error_message, user_agent, ip_address, metadata
    )
    VALUES (
        'failed',
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        COALESCE(cardinality(p_seat_ids), 0),
        COALESCE(p_seat_ids[:100], '{}'),
        p_error_code,
        p_error_message,
        left(p_user_agent, 1000),
        p_ip_address,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_reservation_failure(
    text, text, text, uuid, uuid, text, uuid[], text, inet, jsonb
) IS
'Writes a refused call about a hold into seat_reservation_audit_log. Raises lock_not_available '
'where the log is locked. Internal.';

-- object: holds/end_holds.sql sha256=fea287733e6190a05aae560c7cbc5873c5f1fa9fe223af53f3eb755a85bc8d9d
-- Ends holds of one show and frees their seats: the one way in which seats come back from a hold.
-- The caller has locked the reservations and seen that they are active. Driven from arrays: index
-- scans, whatever the statistics say.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.end_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_status text,
    p_lock_seat_ids uuid[] DEFAULT '{}'
)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_seat_ids uuid[];
BEGIN
    -- FILTER and not WHERE: claims are to be found by their reservation, not by the index of all
    -- live ones.
    SELECT COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}')
    INTO v_seat_ids
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = ANY(p_reservation_ids)
        AND claim.show_id = p_show_id;

    -- Everybody locks seats in id order, and all at once: the caller's own seats too, if it is to
    -- take any after us.
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids || p_lock_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    -- Before the claims are released: the audit trigger reads which are live.
    UPDATE {{ schema }}.seat_reservations
    SET
        status = p_status,
        ended_at = v_now
    WHERE
        seat_reservations.show_id = p_show_id
        AND seat_reservations.id = ANY(p_reservation_ids);

    -- Live ones, said so that the index of all live claims does not apply here, either.
    UPDATE {{ schema }}.reservation_seats
    SET released_at = v_now
    WHERE
        reservation_seats.reservation_id = ANY(p_reservation_ids)
        AND reservation_seats.show_id = p_show_id
        AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

    -- A reserved seat is reserved by its live claim: there is only one.
    UPDATE {{ schema }}.show_seats
    SET
        status = 'available',
        reserved_by = NULL,
        reserved_until = NULL
    WHERE
        show_seats.show_id = p_show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.status = 'reserved';

    RETURN cardinality(v_seat_ids);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.end_holds(uuid, uuid[], text, uuid[]) IS
'Ends locked, active reservations of a show as expired or released, frees their seats, and '
'returns how many. Also locks p_lock_seat_ids, in one order with the rest. Internal.';

-- object: holds/expire_holds.sql sha256=f1bfc653ea0d0c2b1b81a28c3ce2bfc8a10666bbe42ed2e97be667c265f3f168
-- For a buyer who finds the wanted seats under holds that are over: ends those, without waiting for
-- the cleanup job.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.expire_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_lock_seat_ids uuid[]
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_locked_ids uuid[];
BEGIN
    v_locked_ids := ARRAY(
        SELECT hold.id
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = ANY(p_reservation_ids)
            AND hold.ended_at IS NULL
            AND hold.expires_at <= v_now
        ORDER BY hold.id
        FOR UPDATE
    );
    PERFORM {{ internal_schema }}.end_holds(p_show_id, v_locked_ids, 'expired', p_lock_seat_ids);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.expire_holds(uuid, uuid[], uuid[]) IS
'Ends those of these reservations that are over, and locks p_lock_seat_ids for the caller. '
'Internal.';

-- object: holds/lock_reservation.sql sha256=7d05863758182703f89b2435fc4cf7400d359ad2072c0c607cfad9b04d5fc257
-- The first step of every call that shows a token. Resolved without a lock, then locked by both
-- keys: a lock without an equality on the show could not be routed on a distributed table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_reservation(p_reservation_token text)
RETURNS {{ schema }}.seat_reservations
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_show_id uuid;
    v_id uuid;
    v_hold {{ schema }}.seat_reservations;
BEGIN
    SELECT
        hold.show_id,
        hold.id
    INTO
        v_show_id,
        v_id
    FROM {{ schema }}.seat_reservations AS hold
    WHERE hold.reservation_token = p_reservation_token;

    SELECT hold.*
    INTO v_hold
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.show_id = v_show_id
        AND hold.id = v_id
    FOR UPDATE;
    RETURN v_hold;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_reservation(text) IS
'Locks the reservation with this token and returns it as it is then; a row of NULLs when there is '
'none. Who decides by what it returns changes the row, too: at REPEATABLE READ a lock alone makes '
'nobody fail who decided otherwise. Internal.';

-- object: holds/reserve_seats.sql sha256=8a7dead3095dbea23b0e19f3ce482a1559d42f558b61738736462d7c409a5c1b
-- Holds seats for a session: all of them or none. The hot path. Three statements and no more: a
-- look that locks nothing, so that losing is cheap; (seldom) ending holds that are over; and one
-- that locks the seats in id order and writes. Where somebody else has locked what they need, all
-- of it again, see wait_for_others().
CREATE OR REPLACE FUNCTION {{ schema }}.reserve_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_session_id text,
    p_user_id text DEFAULT NULL,
    p_email text DEFAULT NULL,
    p_user_agent text DEFAULT NULL,
    p_ip_address inet DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
    reservation_token text,
    expires_at timestamptz,
    seat_count integer,
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
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
-- A custom plan for = ANY(p_seat_ids) always looks cheaper, and making it anew costs more than the
-- statement.
SET plan_cache_mode = 'force_generic_plan'
-- A plan made while the tables are still empty is kept until they are analysed: it must not be a
-- scan.
SET enable_seqscan = off
AS $body$
DECLARE
    v_wanted constant integer := cardinality(p_seat_ids);
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    v_look record;
    v_was_beaten boolean := false;
    v_has_waited boolean := false;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    -- Values that do not fit the columns are refused here rather than by a CHECK.
    IF p_show_id IS NULL
        OR v_wanted IS NULL
        OR v_wanted = 0
        OR p_session_id IS NULL
        OR p_session_id !~ '[^[:space:]]'
        OR length(p_session_id) > 200
        OR length(p_user_id) > 200
        OR length(p_email) > 320
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    IF v_wanted > 10 THEN
        -- The limit that is set above does for ten.
        PERFORM {{ internal_schema }}.wait_for_others(v_since, v_wanted);
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_now := clock_timestamp();
            SELECT
                settings.max_seats_per_reservation,
                settings.hold_minutes,
                settings.async_conflict_log,
                show.status,
                show.currency,
                CASE WHEN own.expires_at > v_now THEN own.id END AS hold_id,
                seats.found,
                seats.free,
                seats.over_ids || CASE WHEN own.expires_at <= v_now THEN own.id END AS over_ids
            INTO v_look
            FROM (
                -- The limit tells the planner what it cannot know of a boolean key: one row. It
                -- would take the rest for costly enough to be compiled.
                SELECT
                    policy.max_seats_per_reservation,
                    policy.hold_minutes,
                    policy.async_conflict_log
                FROM {{ schema }}.ticketing_settings AS policy
                WHERE policy.singleton
                LIMIT 1
            ) AS settings
            LEFT JOIN {{ schema }}.shows AS show ON show.id = p_show_id
            LEFT JOIN {{ schema }}.seat_reservations AS own
                ON
                    own.show_id = p_show_id
                    AND own.session_id = p_session_id
                    AND own.status = 'active'
            CROSS JOIN LATERAL (
                SELECT
                    count(*) AS found,
                    count(*) FILTER (
                        WHERE seat.status = 'available' OR seat.reserved_until <= v_now
                    ) AS free,
                    array_agg(seat.reserved_by) FILTER (
                        WHERE seat.reserved_until <= v_now
                    ) AS over_ids
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(p_seat_ids)
                    -- Thousands of seats are not looked up to be refused.
                    AND v_wanted <= settings.max_seats_per_reservation
            ) AS seats;

            IF v_look.found < v_wanted THEN
                -- Asked only where seats are missing. A NULL does not count as a seat, either.
                SELECT CASE WHEN count(DISTINCT wanted.id) < v_wanted THEN 'INVALID_INPUT' END
                INTO error_code
                FROM unnest(p_seat_ids) AS wanted (id);
                EXIT WHEN error_code IS NOT NULL;
            END IF;

            IF v_look.hold_id IS NOT NULL AND v_look.status <> 'cancelled' THEN
                -- Asked for before, and the answer got lost, or clicked twice? A hold of the very
                -- same seats is returned as it is. Locked, so that a snapshot of long ago does not
                -- show one that is gone.
                SELECT
                    hold.reservation_token,
                    hold.expires_at
                INTO
                    reservation_token,
                    expires_at
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = v_look.hold_id
                    AND hold.ended_at IS NULL
                FOR UPDATE;
                -- Ended by somebody who was waited for: there may be nothing in the way any more.
                CONTINUE WHEN NOT FOUND;

                SELECT
                    CASE WHEN expires_at > v_now THEN v_look.hold_id END,
                    sum(claim.price_in_cents)::bigint,
                    min(claim.currency)
                INTO
                    reservation_id,
                    total_amount_in_cents,
                    currency
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_look.hold_id
                    AND claim.show_id = p_show_id
                    AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                HAVING
                    count(*) = v_wanted
                    AND bool_and(claim.show_seat_id = ANY(p_seat_ids));
                EXIT WHEN reservation_id IS NOT NULL;
            END IF;

            error_code := CASE
                WHEN v_look.status IS DISTINCT FROM 'on_sale' THEN 'SHOW_NOT_ON_SALE'
                WHEN v_wanted > v_look.max_seats_per_reservation THEN 'TOO_MANY_SEATS'
                WHEN v_look.hold_id IS NOT NULL THEN 'DUPLICATE_RESERVATION'
                WHEN v_look.found < v_wanted THEN 'SEATS_NOT_FOUND'
                WHEN v_look.free < v_wanted THEN 'SEATS_UNAVAILABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF cardinality(array_remove(v_look.over_ids, NULL)) > 0 THEN
                -- They may have more seats than we want, and each somebody who has locked it.
                PERFORM {{ internal_schema }}.wait_for_others(
                    v_since, v_wanted * v_look.max_seats_per_reservation
                );
                PERFORM {{ internal_schema }}.expire_holds(p_show_id, v_look.over_ids, p_seat_ids);
            END IF;

            WITH locked AS (
                SELECT
                    seat.id,
                    seat.price_in_cents
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(p_seat_ids)
                    AND seat.status = 'available'
                ORDER BY seat.id
                FOR UPDATE
            ),

            hold AS (
                INSERT INTO {{ schema }}.seat_reservations (
                    show_id, session_id, user_id, email, user_agent, ip_address, expires_at,
                    created_at
                )
                SELECT
                    p_show_id,
                    p_session_id,
                    p_user_id,
                    p_email,
                    left(p_user_agent, 1000),
                    p_ip_address,
                    v_now + make_interval(mins => v_look.hold_minutes),
                    v_now
                WHERE (SELECT count(*) FROM locked) = v_wanted
                RETURNING
                    seat_reservations.id,
                    seat_reservations.reservation_token,
                    seat_reservations.expires_at
            ),

            claims AS (
                INSERT INTO {{ schema }}.reservation_seats (
                    reservation_id, show_seat_id, show_id, price_in_cents, currency
                )
                SELECT
                    hold.id,
                    locked.id,
                    p_show_id,
                    locked.price_in_cents,
                    v_look.currency
                FROM hold
                CROSS JOIN locked
            ),

            seats AS (
                UPDATE {{ schema }}.show_seats
                SET
                    status = 'reserved',
                    reserved_by = hold.id,
                    reserved_until = hold.expires_at
                FROM hold
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids)
            )

            SELECT
                hold.id,
                hold.reservation_token,
                hold.expires_at,
                (SELECT sum(locked.price_in_cents)::bigint FROM locked)
            INTO
                reservation_id,
                reservation_token,
                expires_at,
                total_amount_in_cents
            FROM hold;

            currency := v_look.currency;
            EXIT WHEN reservation_id IS NOT NULL;

            -- Somebody was faster between the look and the lock, perhaps this very session: a
            -- second look tells. Nothing has been written.
            error_code := CASE WHEN v_was_beaten THEN 'SEATS_UNAVAILABLE' END;
            v_was_beaten := true;
        EXCEPTION
            WHEN serialization_failure THEN
                -- Only in REPEATABLE READ and above, whose callers retry on this SQLSTATE.
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_wanted) THEN
                    error_code := 'SEATS_UNAVAILABLE';
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                error_code := CASE v_constraint
                    WHEN 'reservation_seats_no_double_booking' THEN 'DOUBLE_BOOKING_PREVENTED'
                    WHEN 'seat_reservations_one_active_per_session' THEN 'DUPLICATE_RESERVATION'
                    ELSE 'INTERNAL_ERROR'
                END;
                IF error_code = 'INTERNAL_ERROR' THEN
                    v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                ELSIF error_code = 'DUPLICATE_RESERVATION' THEN
                    -- This session was faster elsewhere, and its hold may be the one asked for.
                    IF current_setting('transaction_isolation') IN (
                        'repeatable read', 'serializable'
                    ) THEN
                        RAISE EXCEPTION 'the session has reserved since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    ELSIF {{ internal_schema }}.wait_for_others(v_since) THEN
                        error_code := NULL;
                    END IF;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        seat_count := v_wanted;
    ELSE
        -- What an attempt that failed has found is no answer.
        reservation_id := NULL;
        reservation_token := NULL;
        expires_at := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        -- Where nothing has been written so far and the shop says that nothing will be, the commit
        -- is about one line of a log, and thousands need not wait for the disk.
        IF error_code = 'SEATS_UNAVAILABLE' AND NOT v_has_waited THEN
            IF v_look.async_conflict_log AND pg_current_xact_id_if_assigned() IS NULL THEN
                PERFORM set_config('synchronous_commit', 'off', true);
            END IF;
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'reserve_seats', error_code, error_message, p_show_id, NULL, p_session_id, p_seat_ids,
            p_user_agent, p_ip_address, v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reserve_seats(uuid, uuid[], text, text, text, text, inet) IS
'Holds seats of a show for a session, all or none, for ticketing_settings.hold_minutes. Repeated '
'with the same session and seats while that hold lives, returns that hold again. Waits at most 2 s '
'for locks of others, then SEATS_UNAVAILABLE. Error codes: INVALID_INPUT, SHOW_NOT_ON_SALE, '
'TOO_MANY_SEATS, DUPLICATE_RESERVATION, SEATS_NOT_FOUND, SEATS_UNAVAILABLE, '
'DOUBLE_BOOKING_PREVENTED, INTERNAL_ERROR. Amounts in the minor unit of the currency. Raises '
'serialization_failure where a transaction at REPEATABLE READ or above has to be tried again, '
'lock_not_available where even the log is locked, and, where the transaction is read-only or the '
'caller has no right, the error of the server: nothing has been written then.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reserve_seats(uuid, uuid[], text, text, text, text, inet)
TO {{ app_role }};
{% endif %}

-- object: holds/extend_reservation.sql sha256=e03f70dc5f90b8a0bba0bd7636687e618bfdd928bb8642a5cbc92ceb48920b18
-- Gives a buyer who is still busy more time.
CREATE OR REPLACE FUNCTION {{ schema }}.extend_reservation(
    p_reservation_token text,
    p_session_id text,
    p_expires_at timestamptz DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
    expires_at timestamptz,
    extensions_remaining integer,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_settings record;
    -- A record: a row type would be looked up, and waited for, before the block begins.
    v_hold record;
    v_show_id uuid;
    v_expires_at timestamptz;
    v_is_repeated boolean;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                policy.extension_minutes,
                policy.max_extensions,
                policy.max_hold_minutes,
                show.status = 'cancelled' AS is_cancelled
            INTO v_settings
            FROM {{ schema }}.ticketing_settings AS policy
            LEFT JOIN {{ schema }}.shows AS show ON show.id = v_hold.show_id
            WHERE policy.singleton;
            v_expires_at := LEAST(
                v_hold.expires_at + make_interval(mins => v_settings.extension_minutes),
                v_hold.created_at + make_interval(mins => v_settings.max_hold_minutes)
            );
            -- Not to the microsecond: a JavaScript date has milliseconds, some clients print
            -- seconds.
            v_is_repeated := COALESCE(v_hold.expires_at - p_expires_at >= interval '1 s', false);
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_settings.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_is_repeated THEN NULL
                WHEN v_hold.extension_count >= v_settings.max_extensions
                    OR v_expires_at <= v_hold.expires_at
                    THEN 'MAX_EXTENSIONS_REACHED'
            END;
            IF error_code IS NULL AND NOT v_is_repeated THEN
                -- A trigger moves reserved_until of the seats, another writes the audit log.
                UPDATE {{ schema }}.seat_reservations
                SET
                    expires_at = v_expires_at,
                    extension_count = seat_reservations.extension_count + 1
                WHERE
                    seat_reservations.id = v_hold.id
                    AND seat_reservations.show_id = v_hold.show_id
                RETURNING seat_reservations.* INTO v_hold;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
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
        expires_at := v_hold.expires_at;
        extensions_remaining := GREATEST(
            0, v_settings.max_extensions - v_hold.extension_count
        );
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'extend_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.extend_reservation(text, text, timestamptz) IS
'Extends a hold by ticketing_settings.extension_minutes, at most max_extensions times and '
'max_hold_minutes in all. Safe to repeat for who gives p_expires_at, the end that the caller '
'knows of: a hold that ends later by now is returned as it is. Error codes: NOT_FOUND, '
'PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), '
'MAX_EXTENSIONS_REACHED, BUSY (somebody else had it locked for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.extend_reservation(text, text, timestamptz)
TO {{ app_role }};
{% endif %}

-- object: holds/release_reservation.sql sha256=9bac39dbdf75dc4f870602fbfbb520113034cabcf8e03f6efde9e4f728b81f59
-- Gives seats back before the hold is over: all of them, or some.
CREATE OR REPLACE FUNCTION {{ schema }}.release_reservation(
    p_reservation_token text,
    p_session_id text,
    p_seat_ids uuid[] DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
    seats_released integer,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Of each wait, see wait_for_others(). The caller's own does not count.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- A record: a row type would be looked up, and waited for, before the block begins.
    v_hold record;
    v_show_id uuid;
    v_held_ids uuid[];
    v_wanted_ids uuid[];
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_held_ids
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_hold.id
                AND claim.show_id = v_hold.show_id;
            v_wanted_ids := CASE
                WHEN p_seat_ids IS NULL THEN v_held_ids
                ELSE ARRAY(SELECT DISTINCT wanted.id FROM unnest(p_seat_ids) AS wanted (id))
            END;
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status <> 'active' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_INACTIVE'
                WHEN cardinality(v_wanted_ids) = 0 OR NOT v_wanted_ids <@ v_held_ids
                    THEN 'SEATS_NOT_FOUND'
            END;
            IF error_code IS NULL THEN
                -- What was ordered is no longer what is held. A payment that comes all the same
                -- will be refund_due.
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'released'
                WHERE
                    ticket_orders.reservation_id = v_hold.id
                    AND ticket_orders.show_id = v_hold.show_id
                    AND ticket_orders.status IN ('pending', 'failed');

                IF v_wanted_ids @> v_held_ids THEN
                    seats_released := {{ internal_schema }}.end_holds(
                        v_hold.show_id, ARRAY[v_hold.id], 'released'
                    );
                ELSE
                    PERFORM
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = v_hold.show_id
                        AND seat.id = ANY(v_wanted_ids)
                    ORDER BY seat.id
                    FOR UPDATE;

                    -- The hold goes on with fewer seats, and who has decided by the seats that it
                    -- had (an order, at REPEATABLE READ) is to fail: a change of nothing does that.
                    UPDATE {{ schema }}.seat_reservations
                    SET extension_count = seat_reservations.extension_count
                    WHERE
                        seat_reservations.id = v_hold.id
                        AND seat_reservations.show_id = v_hold.show_id;

                    UPDATE {{ schema }}.reservation_seats
                    SET released_at = clock_timestamp()
                    WHERE
                        reservation_seats.reservation_id = v_hold.id
                        AND reservation_seats.show_id = v_hold.show_id
                        AND reservation_seats.show_seat_id = ANY(v_wanted_ids);

                    UPDATE {{ schema }}.show_seats
                    SET
                        status = 'available',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = v_hold.show_id
                        AND show_seats.id = ANY(v_wanted_ids)
                        AND show_seats.reserved_by = v_hold.id;

                    -- The reservation goes on, so its trigger sees nothing.
                    INSERT INTO {{ schema }}.seat_reservation_audit_log (
                        event_type, reservation_id, show_id, session_id, seat_count, seat_ids,
                        metadata
                    )
                    VALUES (
                        'released', v_hold.id, v_hold.show_id, v_hold.session_id,
                        cardinality(v_wanted_ids), v_wanted_ids, '{"partial": true}'
                    );
                    seats_released := cardinality(v_wanted_ids);
                END IF;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
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
    IF NOT success THEN
        seats_released := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'release_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_seat_ids, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.release_reservation(text, text, uuid[]) IS
'Gives back seats of a hold; NULL seat ids: all, which ends it. Cancels an order that is not '
'paid. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, SEATS_NOT_FOUND, BUSY '
'(somebody else had it locked for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.release_reservation(text, text, uuid[]) TO {{ app_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
