-- 0003: Holds on seats.
-- A template, frozen by `ticketdb revision`.

-- object: holds/reservation_token.sql sha256=dc34196375e7cb9df8a548ddbca00683343d6b92d481c88bb7d427e48749346a
-- A domain, and not a CHECK of the table, for the reason that event_type has. A regular expression
-- would take 5 % of a hold.
CREATE DOMAIN {{ internal_schema }}.reservation_token AS text
CONSTRAINT reservation_token_check
CHECK (length(value) = 64 AND translate(value, '0123456789abcdef', '') = '');

COMMENT ON DOMAIN {{ internal_schema }}.reservation_token IS
'64 hexadecimal digits: the id of a show, and 122 random bits.';

-- object: holds/reservation_status.sql sha256=abca0fadc66e2cc2a3e9f9cf3d3ff6f049399034415e8bec41d9d9545b83d8f3
-- A domain, and not a CHECK of the table, for the reason that event_type has.
CREATE DOMAIN {{ internal_schema }}.reservation_status AS text
CONSTRAINT reservation_status_check
CHECK (value IN ('active', 'completed', 'released', 'expired'));

COMMENT ON DOMAIN {{ internal_schema }}.reservation_status IS
'States of seat_reservations; its column status explains them.';

-- object: holds/seat_reservations.sql sha256=de27b360d92dfe57d9e8b7679fc5548a6732f768e5ced1f3a8dcd58ce4494c07
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

-- object: holds/reservation_seats.sql sha256=b9cc8d90b750741ed9ebabfbf7885ae5c624af5ed84681f0e6f7ed0988937731
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

-- object: holds/sync_reserved_until.sql sha256=18ee2c3b8a5dffcf9d578ca1dbbc19974024fc3790aba24b4b0b09ea32803dc7
-- Trigger function. seat_reservations.expires_at decides, and a DBA may change it by hand; the copy
-- on the seats saves each buyer a look at the reservations.
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
    -- All functions lock seats in the order of id.
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
'Trigger function: copies a changed seat_reservations.expires_at to the seats that the '
'reservation holds.';

-- object: holds/seat_reservations_sync_reserved_until.sql sha256=a58bc458b43139768dcccd2a77651bc39661ee7c57cc26fb5d654a4d22d9dceb
-- Fires only if the value changes: by an extension, an order, or by hand.
CREATE OR REPLACE TRIGGER seat_reservations_sync_reserved_until
AFTER UPDATE OF expires_at ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (NEW.status = 'active' AND OLD.expires_at IS DISTINCT FROM NEW.expires_at)
EXECUTE FUNCTION {{ internal_schema }}.sync_reserved_until();

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_sync_reserved_until;

COMMENT ON TRIGGER seat_reservations_sync_reserved_until ON {{ schema }}.seat_reservations IS
'Keeps show_seats.reserved_until equal to the expires_at of the hold.';

-- object: holds/log_reservation_failure.sql sha256=36b69cf7c675ca04cebad2c1377893c84d991001b109d4d4cd37fe77af92333b
-- Called by the functions that sell: a refusal is a row, since an exception would roll back the row
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
AS $body$
BEGIN
    -- An expression, which costs less than PERFORM. The caller's SET lock_timeout restores it.
    IF set_config('lock_timeout', {{ internal_schema }}.time_for_the_log(), true) IS NULL THEN
        RETURN;
    END IF;
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
'Records a refusal of a call about a hold in seat_reservation_audit_log. Raises '
'lock_not_available if the log is locked.';

-- object: holds/end_reservations.sql sha256=9af77ba75e36ff5ab8e5ef956644beb26502dacf414d55adda2d3171bab23610
-- Ends holds of one show and frees their seats: called wherever a hold ends without a sale. The
-- caller has locked the reservations and checked that they are active. It passes arrays, which
-- makes the planner use index scans, whatever the statistics are.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.end_reservations(
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
    -- FILTER instead of WHERE, so that claims are found by their reservation and not by the index
    -- of all live claims.
    SELECT COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}')
    INTO v_seat_ids
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = ANY(p_reservation_ids)
        AND claim.show_id = p_show_id;

    -- All functions lock seats in the order of id. One statement locks all of them, with the seats
    -- that the caller takes afterwards.
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids || p_lock_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    -- Before the claims are released, since the audit trigger reads the live ones.
    UPDATE {{ schema }}.seat_reservations
    SET
        status = p_status,
        ended_at = v_now
    WHERE
        -- In a form that matches no index: with the statistics of a quiet night, all reservations
        -- of a show seem to be few.
        COALESCE(seat_reservations.show_id) = p_show_id
        AND seat_reservations.id = ANY(p_reservation_ids);

    -- The live claims, in a form that does not match the index of all live claims.
    UPDATE {{ schema }}.reservation_seats
    SET released_at = v_now
    WHERE
        reservation_seats.reservation_id = ANY(p_reservation_ids)
        AND reservation_seats.show_id = p_show_id
        AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

    -- A reserved seat belongs to its live claim: there is only one.
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

COMMENT ON FUNCTION {{ internal_schema }}.end_reservations(uuid, uuid[], text, uuid[]) IS
'Ends locked, active reservations of a show as expired or released, frees their seats, and '
'returns how many seats. Also locks p_lock_seat_ids, in the same order.';

-- object: holds/expire_reservations_for_buyer.sql sha256=cb32747e0e3a5981ab45b6a12b214118a1477793293f7ea583168452c8f4d79c
-- Called by reserve_seats() and retake_seats() when overdue holds have the wanted seats: ends those
-- holds, without the cleanup. Waits for locks, since the buyer needs the seats;
-- expire_reservations_for_cleanup() skips what is locked.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.expire_reservations_for_buyer(
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
    PERFORM {{ internal_schema }}.end_reservations(
        p_show_id, v_locked_ids, 'expired', p_lock_seat_ids
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.expire_reservations_for_buyer(uuid, uuid[], uuid[]) IS
'Ends those of these reservations that are overdue, waiting for locks, and locks p_lock_seat_ids '
'for the caller.';

-- object: holds/lock_reservation.sql sha256=643a69f104e29af1d2160d7f7f6c1b9e690e30c4c9bd6644c6cd57555b24704a
-- The first step of every call that passes a token, which begins with the show: finds the
-- reservation without a lock, then locks it by its primary key.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_reservation(p_reservation_token text)
RETURNS {{ schema }}.seat_reservations
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_show_id constant uuid := CASE
        WHEN length(p_reservation_token) = 64
            AND translate(p_reservation_token, '0123456789abcdef', '') = ''
            THEN left(p_reservation_token, 32)::uuid
    END;
    v_id uuid;
    v_hold {{ schema }}.seat_reservations;
BEGIN
    SELECT hold.id
    INTO v_id
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.reservation_token = p_reservation_token
        AND hold.show_id = v_show_id;

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
'Locks the reservation with this token and returns its present state; a row of NULLs if there is '
'none. A caller that decides by the result must also update the row: at REPEATABLE READ, a mere '
'lock does not make concurrent transactions fail.';

-- object: holds/reserve_seats.sql sha256=bcbcd09bf80e7a3c8cde3d4b221ca1a44df44c46489a0b1fea44661eb895e03b
-- Holds seats for a session: all of them or none. The hot path, with three statements at most: a
-- look without locks, so that losing is cheap; rarely, the end of overdue holds; and one that locks
-- the seats in the order of id and writes. If another session has locked what they need, all of it
-- is repeated, see wait_for_others().
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
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
-- The planner always finds a custom plan for = ANY(p_seat_ids) cheaper, but to make one costs more
-- than the statement.
SET plan_cache_mode = 'force_generic_plan'
-- A plan that is made while the tables are empty is kept until they are analysed: it must not be a
-- sequential scan.
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
        -- The lock_timeout above is short enough for ten seats.
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
                show.status = 'on_sale'
                AND COALESCE(show.sales_start_at <= v_now, true)
                AND COALESCE(show.sales_end_at > v_now, true) AS is_on_sale,
                show.currency,
                CASE WHEN own.expires_at > v_now THEN own.id END AS hold_id,
                seats.found,
                seats.free,
                seats.over_ids || CASE WHEN own.expires_at <= v_now THEN own.id END AS over_ids
            INTO v_look
            FROM (
                -- LIMIT shows the planner that a boolean key means one row. Otherwise it would
                -- expect so much work that it compiles the rest.
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
                    -- Too many seats are refused without looking them up.
                    AND v_wanted <= settings.max_seats_per_reservation
            ) AS seats;

            IF v_look.found < v_wanted THEN
                -- Looked for only if seats are missing: duplicates and NULLs.
                SELECT CASE WHEN count(DISTINCT wanted.id) < v_wanted THEN 'INVALID_INPUT' END
                INTO error_code
                FROM unnest(p_seat_ids) AS wanted (id);
                EXIT WHEN error_code IS NOT NULL;
            END IF;

            IF v_look.hold_id IS NOT NULL AND v_look.status <> 'cancelled' THEN
                -- The answer of an earlier call may have been lost, or the buyer clicked twice: a
                -- hold of exactly the same seats is returned. It is locked, so that an old snapshot
                -- does not show a hold that has ended.
                SELECT
                    hold.reservation_token::text,
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
                -- It was ended while this call waited for its lock: the seats may be free now.
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
                WHEN v_look.is_on_sale IS NOT TRUE THEN 'SHOW_NOT_ON_SALE'
                WHEN v_wanted > v_look.max_seats_per_reservation THEN 'TOO_MANY_SEATS'
                WHEN v_look.hold_id IS NOT NULL THEN 'DUPLICATE_RESERVATION'
                WHEN v_look.found < v_wanted THEN 'SEATS_NOT_FOUND'
                WHEN v_look.free < v_wanted THEN 'SEATS_UNAVAILABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF cardinality(array_remove(v_look.over_ids, NULL)) > 0 THEN
                -- These holds may have more seats than are wanted, each locked by another session.
                PERFORM {{ internal_schema }}.wait_for_others(
                    v_since, v_wanted * v_look.max_seats_per_reservation
                );
                PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                    p_show_id, v_look.over_ids, p_seat_ids
                );
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
                    show_id, reservation_token, session_id, user_id, email, user_agent, ip_address,
                    expires_at, created_at
                )
                SELECT
                    p_show_id,
                    encode(uuid_send(p_show_id) || uuid_send(gen_random_uuid()), 'hex'),
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
                hold.reservation_token::text,
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

            -- Another call, perhaps of this session, was faster between the look and the lock: look
            -- again to find out. Nothing has been written.
            error_code := CASE WHEN v_was_beaten THEN 'SEATS_UNAVAILABLE' END;
            v_was_beaten := true;
        EXCEPTION
            WHEN serialization_failure THEN
                -- Only at REPEATABLE READ and above, where callers retry on this SQLSTATE.
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
                    -- Another call of this session was faster, and its hold may be the one that is
                    -- wanted.
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
        -- Values of a failed attempt are not part of the answer.
        reservation_id := NULL;
        reservation_token := NULL;
        expires_at := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        -- If nothing has been written yet, and by the setting the shop writes nothing else, the
        -- commit is about one row of a log, and thousands of refusals need not wait for the disk.
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
'with the same session and seats while that hold is live, returns that hold. Waits at most 2 s '
'for locks of other sessions, then refuses with SEATS_UNAVAILABLE. Error codes: INVALID_INPUT, '
'SHOW_NOT_ON_SALE, TOO_MANY_SEATS, DUPLICATE_RESERVATION, SEATS_NOT_FOUND, SEATS_UNAVAILABLE, '
'DOUBLE_BOOKING_PREVENTED, INTERNAL_ERROR. Amounts are in the minor unit of the currency. Raises '
'serialization_failure if a transaction at REPEATABLE READ or above has to be retried, '
'lock_not_available if even the log is locked, and the error of the server if the transaction is '
'read-only or the caller lacks a privilege: nothing has been written then.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reserve_seats(uuid, uuid[], text, text, text, text, inet)
TO {{ app_role }};
{% endif %}

-- object: holds/best_seats.sql sha256=ba679da1314a460ecd8e510e0a2db7a60a75b6045b09a75d08d56b7b529c02e8
-- Called by reserve_best_seats(): proposes seats, without locks. Reads rows from the front on, in
-- portions that have more and more free seats, until there are seats that none further back can
-- surpass: what lies behind them does not matter. If there are none, it compares all. A row that is
-- a portion by itself, such as a floor of standing places, is read from its middle on.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.best_seats(
    p_show_id uuid,
    p_quantity integer,
    p_section text,
    p_max_price_in_cents bigint,
    p_taken_ids uuid[]
)
RETURNS TABLE (seat_ids uuid[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
ROWS 50
AS $body$
DECLARE
    v_sections text[] := ARRAY[p_section];
    v_first bigint;
    v_last bigint;
    -- The portion; v_to is NULL behind the last one.
    v_from bigint;
    v_to bigint;
    v_is_whole boolean := false;
    v_free_seats integer := 20;
    -- How far from the middle of a row, in half places. No place is further than v_everywhere.
    v_everywhere constant bigint := 10000000000;
    v_near constant bigint := 64 + 2 * p_quantity::bigint;
    v_reach bigint := v_near;
    v_width bigint;
BEGIN
    IF p_section IS NULL THEN
        -- From one section to the next, without reading the seats between.
        WITH RECURSIVE walk (section) AS (
            SELECT min(seat.section)
            FROM {{ schema }}.show_seats AS seat
            WHERE seat.show_id = p_show_id
            UNION ALL
            SELECT (
                SELECT min(seat.section)
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section > walk.section
            )
            FROM walk
            WHERE walk.section IS NOT NULL
        )

        SELECT array_agg(walk.section)
        INTO v_sections
        FROM walk
        WHERE walk.section IS NOT NULL;
    END IF;

    SELECT
        min(edge.first)::bigint,
        max(edge.last)::bigint
    INTO
        v_first,
        v_last
    FROM unnest(v_sections) AS part (section)
    CROSS JOIN LATERAL (
        SELECT
            min(seat.row_position) AS first,
            max(seat.row_position) AS last
        FROM {{ schema }}.show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.section = part.section
    ) AS edge;

    v_from := v_first;
    LOOP
        IF NOT v_is_whole THEN
            SELECT min(enough.row_position)::bigint
            INTO v_to
            FROM unnest(v_sections) AS part (section)
            CROSS JOIN LATERAL (
                SELECT seat.row_position
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position >= v_from
                    AND seat.status = 'available'
                ORDER BY seat.row_position
                OFFSET v_free_seats / cardinality(v_sections)
                LIMIT 1
            ) AS enough;
            v_is_whole := v_from = v_first AND v_to IS NULL;
        END IF;
        IF v_to IS DISTINCT FROM v_from THEN
            v_reach := v_everywhere;
        END IF;

        RETURN QUERY
        WITH hall_rows AS (
            SELECT
                part.section,
                hall_row.*,
                row_number() OVER (
                    ORDER BY part.section, hall_row.row_position, hall_row.row_label
                ) AS nth,
                (
                    SELECT min(seat.seat_position)::bigint + max(seat.seat_position)
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.section = part.section
                        AND seat.row_position = hall_row.row_position
                ) AS doubled_middle
            FROM unnest(v_sections) AS part (section)
            CROSS JOIN LATERAL (
                SELECT
                    COALESCE(min(seat.seat_position)::bigint + max(seat.seat_position), 0)
                        AS doubled_middle
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position = v_from
            ) AS first_row
            CROSS JOIN LATERAL (
                SELECT
                    seat.row_position,
                    seat.row_label,
                    array_agg(seat.id) AS ids,
                    array_agg(seat.seat_position::bigint) AS positions,
                    array_agg(seat.price_in_cents) AS prices
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position BETWEEN v_from AND COALESCE(v_to, v_last)
                    AND seat.seat_position BETWEEN (first_row.doubled_middle - v_reach) / 2
                    AND (first_row.doubled_middle + v_reach) / 2
                    AND seat.status = 'available'
                GROUP BY
                    seat.row_position,
                    seat.row_label
            ) AS hall_row
        ),

        free AS (
            SELECT
                hall_rows.nth,
                hall_rows.section,
                -- Differences of two integers may not fit into one.
                hall_rows.row_position::bigint AS row_position,
                hall_rows.doubled_middle,
                seat.id,
                seat.position,
                seat.price_in_cents,
                -- The same for all seats of a run without a gap.
                seat.position - row_number() OVER (
                    PARTITION BY hall_rows.nth ORDER BY seat.position
                ) AS run
            FROM hall_rows
            CROSS JOIN LATERAL unnest(hall_rows.ids, hall_rows.positions, hall_rows.prices)
                AS seat (id, position, price_in_cents)
            WHERE seat.id <> ALL(p_taken_ids)
        ),

        runs AS (
            SELECT
                free.*,
                min(free.position) OVER of_run AS run_first,
                max(free.position) OVER of_run AS run_last
            FROM free
            WINDOW of_run AS (PARTITION BY free.nth, free.run)
        ),

        wanted AS (
            SELECT
                runs.*,
                -- How many times one has passed a gap, from the front to here.
                count(*) FILTER (WHERE runs.is_after_gap) OVER in_order AS gaps
            FROM (
                SELECT
                    runs.*,
                    (runs.nth, runs.position) IS DISTINCT FROM (
                        lag(runs.nth) OVER in_order, lag(runs.position) OVER in_order + 1
                    ) AS is_after_gap
                FROM runs
                WHERE runs.price_in_cents <= p_max_price_in_cents
                WINDOW in_order AS (ORDER BY runs.nth, runs.position)
            ) AS runs
            WINDOW in_order AS (ORDER BY runs.nth, runs.position)
        ),

        -- Any p_quantity seats that follow one another, gaps or not.
        groups AS (
            SELECT
                array_agg(wanted.id) OVER last_ones AS ids,
                first_value(wanted.section) OVER last_ones <> wanted.section AS is_divided,
                wanted.nth - first_value(wanted.nth) OVER last_ones AS rows_away,
                wanted.row_position - first_value(wanted.row_position) OVER last_ones AS depth,
                wanted.gaps - first_value(wanted.gaps) OVER last_ones AS gaps,
                wanted.row_position,
                wanted.position - first_value(wanted.position) OVER last_ones AS width,
                (first_value(wanted.position - wanted.run_first) OVER last_ones = 1)::integer
                + (wanted.run_last - wanted.position = 1)::integer AS orphans,
                abs(
                    first_value(wanted.position) OVER last_ones
                    + wanted.position
                    - wanted.doubled_middle
                ) AS off_centre,
                wanted.nth,
                wanted.position
            FROM wanted
            WINDOW
                last_ones AS (
                    ORDER BY wanted.nth, wanted.position
                    ROWS BETWEEN p_quantity - 1 PRECEDING AND CURRENT ROW
                )
        )

        SELECT groups.ids
        FROM groups
        WHERE
            cardinality(groups.ids) = p_quantity
            AND (
                groups.gaps = 0
                AND groups.orphans = 0
                -- What lies further out is less central, and two places beyond each end were read.
                AND groups.off_centre <= v_reach - p_quantity - 3
                OR v_is_whole
            )
        ORDER BY
            groups.is_divided,
            groups.rows_away,
            groups.depth,
            groups.gaps,
            CASE WHEN groups.rows_away = 0 THEN groups.width END,
            groups.orphans,
            groups.row_position,
            groups.off_centre,
            groups.nth,
            groups.position
        LIMIT 50;

        EXIT WHEN FOUND OR v_is_whole IS NOT FALSE;
        IF v_reach < v_everywhere THEN
            -- The same row again, further from its middle.
            SELECT max(edge.width)
            INTO v_width
            FROM unnest(v_sections) AS part (section)
            CROSS JOIN LATERAL (
                SELECT max(seat.seat_position)::bigint - min(seat.seat_position) AS width
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.section = part.section
                    AND seat.row_position = v_from
            ) AS edge;
            v_reach := CASE WHEN 4 * v_reach < v_width THEN 4 * v_reach ELSE v_everywhere END;
            CONTINUE;
        END IF;
        v_reach := v_near;
        v_free_seats := 2 * v_free_seats;
        v_is_whole := v_to IS NULL;
        v_from := CASE WHEN v_is_whole THEN v_first ELSE v_to + 1 END;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.best_seats(uuid, integer, text, bigint, uuid[]) IS
'The best available groups of p_quantity seats up to a price, other than p_taken_ids, best first, '
'at most 50: adjacent, without leaving a single seat alone, near the front and the middle; else '
'in as few rows and with as few gaps as possible. NULL section: all.';

-- object: holds/reserve_best_seats.sql sha256=09037de722aa4e86d1301edc77acacd1204ffa62ecc6683c2def3c5d72c75801
-- Holds the best seats that are free, so that buyers who do not mind which ones, or have none, as
-- with standing places, do not want the same. Seats that another session has locked are skipped: it
-- waits only for the last ones.
CREATE OR REPLACE FUNCTION {{ schema }}.reserve_best_seats(
    p_show_id uuid,
    p_quantity integer,
    p_session_id text,
    p_section text DEFAULT NULL,
    p_max_price_in_cents bigint DEFAULT NULL,
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
    seat_ids uuid[],
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
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_max_price constant bigint := COALESCE(p_max_price_in_cents, 9223372036854775807);
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    v_look record;
    v_locked_ids uuid[];
    -- Seats that others have locked, and holds that this call has tried to end.
    v_taken_ids uuid[] := '{}'::uuid[];
    v_tried_ids uuid[] := '{}'::uuid[];
    v_over_ids uuid[];
    v_ended record;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    -- Values that do not fit the columns are refused here rather than by a CHECK.
    IF p_show_id IS NULL
        OR COALESCE(p_quantity, 0) < 1
        OR COALESCE(p_session_id, '') !~ '[^[:space:]]'
        OR p_section !~ '[^[:space:]]'
        OR p_max_price_in_cents < 0
        OR length(p_session_id) > 200
        OR length(p_user_id) > 200
        OR length(p_email) > 320
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_now := clock_timestamp();
            SELECT
                settings.max_seats_per_reservation,
                settings.hold_minutes,
                show.status,
                show.status = 'on_sale'
                AND COALESCE(show.sales_start_at <= v_now, true)
                AND COALESCE(show.sales_end_at > v_now, true) AS is_on_sale,
                show.currency,
                CASE WHEN own.expires_at > v_now THEN own.id END AS hold_id,
                CASE WHEN own.expires_at <= v_now THEN own.id END AS over_id,
                p_section IS NULL
                OR EXISTS (
                    SELECT
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.section = p_section
                ) AS is_found
            INTO v_look
            FROM (
                -- LIMIT shows the planner that a boolean key means one row.
                SELECT
                    policy.max_seats_per_reservation,
                    policy.hold_minutes
                FROM {{ schema }}.ticketing_settings AS policy
                WHERE policy.singleton
                LIMIT 1
            ) AS settings
            LEFT JOIN {{ schema }}.shows AS show ON show.id = p_show_id
            LEFT JOIN {{ schema }}.seat_reservations AS own
                ON
                    own.show_id = p_show_id
                    AND own.session_id = p_session_id
                    AND own.status = 'active';

            IF v_look.hold_id IS NOT NULL AND v_look.status <> 'cancelled' THEN
                -- The answer of an earlier call may have been lost: a hold of seats such as these
                -- is returned. It is locked, so that an old snapshot does not show a hold that has
                -- ended.
                SELECT
                    hold.reservation_token::text,
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
                -- It was ended while this call waited for its lock.
                CONTINUE WHEN NOT FOUND;

                SELECT
                    CASE WHEN expires_at > v_now THEN v_look.hold_id END,
                    array_agg(
                        seat.id ORDER BY
                            seat.section, seat.row_position, seat.row_label, seat.seat_position
                    ),
                    sum(claim.price_in_cents)::bigint,
                    min(claim.currency)
                INTO
                    reservation_id,
                    seat_ids,
                    total_amount_in_cents,
                    currency
                FROM {{ schema }}.reservation_seats AS claim
                INNER JOIN {{ schema }}.show_seats AS seat
                    ON seat.id = claim.show_seat_id AND seat.show_id = claim.show_id
                WHERE
                    claim.reservation_id = v_look.hold_id
                    AND claim.show_id = p_show_id
                    -- Live ones, in a form that does not match the index of all live claims.
                    AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                HAVING
                    count(*) = p_quantity
                    AND bool_and(seat.section = COALESCE(p_section, seat.section))
                    AND max(claim.price_in_cents) <= v_max_price;
                EXIT WHEN reservation_id IS NOT NULL;
            END IF;

            error_code := CASE
                WHEN v_look.is_on_sale IS NOT TRUE THEN 'SHOW_NOT_ON_SALE'
                WHEN p_quantity > v_look.max_seats_per_reservation THEN 'TOO_MANY_SEATS'
                WHEN v_look.hold_id IS NOT NULL THEN 'DUPLICATE_RESERVATION'
                WHEN NOT v_look.is_found THEN 'SEATS_NOT_FOUND'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_look.over_id IS NOT NULL THEN
                PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                    p_show_id, ARRAY[v_look.over_id], '{}'
                );
            END IF;

            FOR seat_ids IN
                SELECT best.seat_ids
                FROM {{ internal_schema }}.best_seats(
                    p_show_id, p_quantity, p_section, v_max_price, v_taken_ids
                ) AS best
            LOOP
                CONTINUE WHEN seat_ids && v_taken_ids;

                WITH locked AS (
                    SELECT
                        seat.id,
                        seat.price_in_cents
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(seat_ids)
                        AND seat.status = 'available'
                        AND seat.price_in_cents <= v_max_price
                    ORDER BY seat.id
                    FOR UPDATE SKIP LOCKED
                ),

                hold AS (
                    INSERT INTO {{ schema }}.seat_reservations (
                        show_id, reservation_token, session_id, user_id, email, user_agent,
                        ip_address, expires_at, created_at
                    )
                    SELECT
                        p_show_id,
                        encode(uuid_send(p_show_id) || uuid_send(gen_random_uuid()), 'hex'),
                        p_session_id,
                        p_user_id,
                        p_email,
                        left(p_user_agent, 1000),
                        p_ip_address,
                        v_now + make_interval(mins => v_look.hold_minutes),
                        v_now
                    WHERE (SELECT count(*) FROM locked) = p_quantity
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
                        AND show_seats.id = ANY(seat_ids)
                )

                SELECT
                    all_locked.ids,
                    hold.id,
                    hold.reservation_token::text,
                    hold.expires_at,
                    all_locked.total
                INTO
                    v_locked_ids,
                    reservation_id,
                    reservation_token,
                    expires_at,
                    total_amount_in_cents
                FROM (
                    SELECT
                        COALESCE(array_agg(locked.id), '{}') AS ids,
                        sum(locked.price_in_cents)::bigint AS total
                    FROM locked
                ) AS all_locked
                LEFT JOIN hold ON true;
                EXIT WHEN reservation_id IS NOT NULL;

                v_taken_ids := v_taken_ids || ARRAY(
                    SELECT wanted.id
                    FROM unnest(seat_ids) AS wanted (id)
                    WHERE wanted.id <> ALL(v_locked_ids)
                );
                IF v_locked_ids <> '{}' THEN
                    -- Releases the locks, for those who want these seats.
                    RAISE EXCEPTION 'others have some of the seats' USING ERRCODE = 'TDB01';
                END IF;
            END LOOP;
            currency := v_look.currency;
            EXIT WHEN reservation_id IS NOT NULL;
            -- All that were proposed are locked, so more are needed.
            CONTINUE WHEN FOUND;

            v_over_ids := ARRAY(
                SELECT hold.id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.is_active
                    AND hold.expires_at <= v_now
                    AND hold.show_id = p_show_id
                    AND hold.id <> ALL(v_tried_ids)
                    AND EXISTS (
                        SELECT
                        FROM {{ schema }}.reservation_seats AS claim
                        INNER JOIN {{ schema }}.show_seats AS seat
                            ON seat.id = claim.show_seat_id AND seat.show_id = claim.show_id
                        WHERE
                            claim.reservation_id = hold.id
                            AND claim.show_id = hold.show_id
                            AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                            AND seat.section = COALESCE(p_section, seat.section)
                            AND seat.price_in_cents <= v_max_price
                    )
                ORDER BY
                    hold.expires_at,
                    hold.id
                LIMIT 100
            );
            IF v_over_ids <> '{}' THEN
                v_tried_ids := v_tried_ids || v_over_ids;
                v_ended := {{ internal_schema }}.expire_reservations_for_cleanup(
                    p_show_id, v_over_ids
                );
                IF v_ended.error_code IS NOT NULL THEN
                    RAISE EXCEPTION '%', v_ended.error_message USING ERRCODE = v_ended.error_code;
                END IF;
            ELSIF v_taken_ids <> '{}' AND {{ internal_schema }}.wait_for_others(v_since) THEN
                -- What is left is locked: by those who take it, or only try to. Then look again.
                PERFORM
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = v_taken_ids[1]
                FOR UPDATE;
                v_taken_ids := '{}';
                v_tried_ids := '{}';
                RAISE EXCEPTION 'the seat is not wanted alone' USING ERRCODE = 'TDB01';
            ELSE
                error_code := 'SEATS_UNAVAILABLE';
            END IF;
        EXCEPTION
            WHEN SQLSTATE 'TDB01' THEN
                NULL;
            WHEN serialization_failure THEN
                -- Only at REPEATABLE READ and above, where callers retry on this SQLSTATE.
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_taken_ids := '{}';
                v_tried_ids := '{}';
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
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
                    -- Another call of this session was faster, and its hold may be the one that is
                    -- wanted.
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
        seat_count := p_quantity;
    ELSE
        -- Values of a failed attempt are not part of the answer.
        reservation_id := NULL;
        reservation_token := NULL;
        expires_at := NULL;
        seat_ids := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'reserve_best_seats', error_code, error_message, p_show_id, NULL, p_session_id,
            p_user_agent => p_user_agent, p_ip_address => p_ip_address, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reserve_best_seats(
    uuid, integer, text, text, bigint, text, text, text, inet
) IS
'Holds p_quantity seats of a show for a session, in a section and up to a price each where they '
'are given: adjacent ones where there are any, without leaving a single seat alone if it can be '
'helped, nearest to the front and the middle; else the closest. Skips seats that others are '
'taking; waits for them, at most 2 s, only if there are not enough others. Repeated while the '
'session has a live hold of so many seats there, returns that hold. Error codes: INVALID_INPUT, '
'SHOW_NOT_ON_SALE, TOO_MANY_SEATS, DUPLICATE_RESERVATION, SEATS_NOT_FOUND (no such section), '
'SEATS_UNAVAILABLE, DOUBLE_BOOKING_PREVENTED, INTERNAL_ERROR. Amounts are in the minor unit of '
'the currency. Raises what reserve_seats raises.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reserve_best_seats(
    uuid, integer, text, text, bigint, text, text, text, inet
)
TO {{ app_role }};
{% endif %}

-- object: holds/add_seats.sql sha256=5f96f1b8696c01fcc8e3f27ee07cc542011199fe73fd0d384c4e2407ae99e8fc
-- Adds seats to a hold: all of them or none. Its clock goes on as before.
CREATE OR REPLACE FUNCTION {{ schema }}.add_seats(
    p_reservation_token text,
    p_session_id text,
    p_seat_ids uuid[]
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
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_wanted constant integer := cardinality(p_seat_ids);
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_look record;
    v_seats record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_new_ids uuid[];
    v_added bigint;
    v_was_beaten boolean := false;
    -- Whether it waits for seats, and not for the hold or its order.
    v_waits_for_seats boolean;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    IF v_wanted > 10 THEN
        -- The lock_timeout above is short enough for ten seats.
        PERFORM {{ internal_schema }}.wait_for_others(v_since, v_wanted);
    END IF;

    LOOP
        v_waits_for_seats := false;
        BEGIN
            v_now := clock_timestamp();
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                policy.max_seats_per_reservation,
                show.status,
                show.status = 'on_sale'
                AND COALESCE(show.sales_start_at <= v_now, true)
                AND COALESCE(show.sales_end_at > v_now, true) AS is_on_sale,
                show.currency,
                held.seat_ids
            INTO v_look
            FROM {{ schema }}.ticketing_settings AS policy
            LEFT JOIN {{ schema }}.shows AS show ON show.id = v_show_id
            CROSS JOIN LATERAL (
                SELECT
                    COALESCE(
                        array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                    ) AS seat_ids
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_reservation_id
                    AND claim.show_id = v_show_id
            ) AS held
            WHERE policy.singleton;
            -- Seats that the hold has already: the answer of an earlier call may have been lost.
            v_new_ids := ARRAY(
                SELECT wanted.id
                FROM unnest(p_seat_ids) AS wanted (id)
                WHERE wanted.id <> ALL(v_look.seat_ids)
                GROUP BY wanted.id
            );

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN COALESCE(v_wanted, 0) = 0
                    OR (SELECT count(DISTINCT wanted.id) FROM unnest(p_seat_ids) AS wanted (id))
                    < v_wanted
                    THEN 'INVALID_INPUT'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_look.status = 'cancelled' THEN 'SHOW_NOT_ON_SALE'
                WHEN v_new_ids = '{}' THEN NULL
                WHEN v_look.is_on_sale IS NOT TRUE THEN 'SHOW_NOT_ON_SALE'
                WHEN cardinality(v_look.seat_ids || v_new_ids) > v_look.max_seats_per_reservation
                    THEN 'TOO_MANY_SEATS'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_new_ids <> '{}' THEN
                SELECT
                    count(*) AS found,
                    count(*) FILTER (
                        WHERE seat.status = 'available' OR seat.reserved_until <= v_now
                    ) AS free,
                    array_agg(seat.reserved_by) FILTER (
                        WHERE seat.reserved_until <= v_now
                    ) AS over_ids
                INTO v_seats
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = v_show_id
                    AND seat.id = ANY(v_new_ids);
                error_code := CASE
                    WHEN v_seats.found < cardinality(v_new_ids) THEN 'SEATS_NOT_FOUND'
                    WHEN v_seats.free < cardinality(v_new_ids) THEN 'SEATS_UNAVAILABLE'
                END;
                EXIT WHEN error_code IS NOT NULL;

                -- Before the seats are locked; changed when they have been obtained.
                PERFORM
                FROM {{ schema }}.ticket_orders AS due
                WHERE
                    due.reservation_id = v_reservation_id
                    AND due.show_id = v_show_id
                    AND due.status IN ('pending', 'failed')
                ORDER BY due.id
                FOR UPDATE;

                v_waits_for_seats := true;
                IF v_seats.over_ids IS NOT NULL THEN
                    -- These holds may have more seats than are wanted, each locked by another
                    -- session.
                    PERFORM {{ internal_schema }}.wait_for_others(
                        v_since, v_wanted * v_look.max_seats_per_reservation
                    );
                    PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                        v_show_id, v_seats.over_ids, v_new_ids
                    );
                END IF;

                PERFORM
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = v_show_id
                    AND seat.id = ANY(v_new_ids)
                    AND seat.status = 'available'
                ORDER BY seat.id
                FOR UPDATE;
                GET DIAGNOSTICS v_added = ROW_COUNT;
                v_waits_for_seats := false;
                IF v_added < cardinality(v_new_ids) THEN
                    -- Another call was faster between the look and the lock: look again to find out.
                    -- Nothing has been written.
                    error_code := CASE WHEN v_was_beaten THEN 'SEATS_UNAVAILABLE' END;
                    v_was_beaten := true;
                    EXIT WHEN error_code IS NOT NULL;
                    CONTINUE;
                END IF;

                -- The order no longer matches the hold. A payment that arrives for it becomes
                -- refund_due.
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'changed'
                WHERE
                    ticket_orders.reservation_id = v_reservation_id
                    AND ticket_orders.show_id = v_show_id
                    AND ticket_orders.status IN ('pending', 'failed');

                -- A concurrent transaction that has read the old seats (an order, at REPEATABLE
                -- READ) must fail: an update that changes nothing achieves this.
                UPDATE {{ schema }}.seat_reservations
                SET extension_count = seat_reservations.extension_count
                WHERE
                    seat_reservations.id = v_reservation_id
                    AND seat_reservations.show_id = v_show_id;

                INSERT INTO {{ schema }}.reservation_seats AS claim (
                    reservation_id, show_seat_id, show_id, price_in_cents, currency
                )
                SELECT
                    v_reservation_id,
                    seat.id,
                    v_show_id,
                    seat.price_in_cents,
                    v_look.currency
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = v_show_id
                    AND seat.id = ANY(v_new_ids)
                -- A seat that this hold has given back before.
                ON CONFLICT ON CONSTRAINT reservation_seats_pkey DO UPDATE SET
                    price_in_cents = excluded.price_in_cents,
                    currency = excluded.currency,
                    ticket_type = NULL,
                    released_at = NULL;

                UPDATE {{ schema }}.show_seats
                SET
                    status = 'reserved',
                    reserved_by = v_reservation_id,
                    reserved_until = v_hold.expires_at
                WHERE
                    show_seats.show_id = v_show_id
                    AND show_seats.id = ANY(v_new_ids);

                -- The status of the reservation stays, so the audit trigger does not fire.
                INSERT INTO {{ schema }}.seat_reservation_audit_log (
                    event_type, reservation_id, show_id, session_id, seat_count, seat_ids
                )
                VALUES (
                    'added', v_reservation_id, v_show_id, v_hold.session_id,
                    cardinality(v_new_ids), v_new_ids
                );
            END IF;

            SELECT
                count(*)::integer,
                sum(claim.price_in_cents)::bigint,
                min(claim.currency)
            INTO
                seat_count,
                total_amount_in_cents,
                currency
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_reservation_id
                AND claim.show_id = v_show_id
                -- Live ones, in a form that does not match the index of all live claims.
                AND COALESCE(claim.released_at, 'infinity') = 'infinity';
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_wanted) THEN
                    error_code := CASE
                        WHEN v_waits_for_seats THEN 'SEATS_UNAVAILABLE'
                        ELSE 'BUSY'
                    END;
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'reservation_seats_no_double_booking' THEN
                    error_code := 'DOUBLE_BOOKING_PREVENTED';
                ELSE
                    error_code := 'INTERNAL_ERROR';
                    v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                END IF;
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        reservation_id := v_reservation_id;
        reservation_token := v_hold.reservation_token;
        expires_at := v_hold.expires_at;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'add_seats', error_code, error_message, v_show_id, v_reservation_id, p_session_id,
            p_seat_ids, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.add_seats(text, text, uuid[]) IS
'Adds seats to a hold, all or none, which ends when it did before; returns all that it has then. '
'Seats that it has already stay as they are, so the call is safe to repeat. Cancels an order that '
'is not paid, since it no longer matches. Error codes: NOT_FOUND, PERMISSION_DENIED, '
'INVALID_INPUT, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE, TOO_MANY_SEATS (with '
'those it has), SEATS_NOT_FOUND, SEATS_UNAVAILABLE, DOUBLE_BOOKING_PREVENTED, BUSY (locked by '
'another session for 2 s), INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.add_seats(text, text, uuid[]) TO {{ app_role }};
{% endif %}

-- object: holds/price_seats.sql sha256=cadfea1e6a48a580ad581ea00995e1330786a42c2f714f6bdc36f84256a53970
-- Sets price and ticket type of seats that a session holds: for children, members and vouchers. The
-- shop decides; the claims remember it until the tickets are issued.
CREATE OR REPLACE FUNCTION {{ schema }}.price_seats(
    p_reservation_token text,
    p_session_id text,
    p_seat_ids uuid[],
    p_prices_in_cents bigint[],
    p_ticket_types text[]
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
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
    v_wanted constant integer := cardinality(p_seat_ids);
    v_since constant timestamptz := clock_timestamp();
    -- A record: a row type would wait for a locked table before the block begins.
    v_hold record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_is_valid boolean;
    v_is_cancelled boolean;
    v_is_ordered boolean;
    v_is_new boolean;
    v_found bigint;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            -- Values that do not fit the columns are refused here rather than by a CHECK.
            SELECT
                count(DISTINCT wanted.id) = v_wanted
                AND v_wanted > 0
                AND v_wanted = cardinality(p_prices_in_cents)
                AND v_wanted = COALESCE(cardinality(p_ticket_types), v_wanted)
                AND bool_and(COALESCE(wanted.price_in_cents BETWEEN 0 AND 100000000000, false))
                AND bool_and(
                    COALESCE(
                        wanted.ticket_type ~ '[^[:space:]]' AND length(wanted.ticket_type) <= 200,
                        true
                    )
                )
            INTO v_is_valid
            FROM unnest(p_seat_ids, p_prices_in_cents, p_ticket_types)
                AS wanted (id, price_in_cents, ticket_type);
            SELECT
                (
                    SELECT show.status = 'cancelled'
                    FROM {{ schema }}.shows AS show
                    WHERE show.id = v_show_id
                ),
                EXISTS (
                    SELECT
                    FROM {{ schema }}.ticket_orders AS existing
                    WHERE
                        existing.reservation_id = v_reservation_id
                        AND existing.show_id = v_show_id
                        -- In a form that does not match the index of all pending orders.
                        AND COALESCE(existing.status, '') IN ('pending', 'failed', 'paid')
                ),
                count(*),
                COALESCE(
                    bool_or(
                        claim.price_in_cents <> wanted.price_in_cents
                        OR p_ticket_types IS NOT NULL
                        AND claim.ticket_type IS DISTINCT FROM wanted.ticket_type
                    ),
                    false
                )
            INTO
                v_is_cancelled,
                v_is_ordered,
                v_found,
                v_is_new
            FROM unnest(p_seat_ids, p_prices_in_cents, p_ticket_types)
                AS wanted (id, price_in_cents, ticket_type)
            INNER JOIN {{ schema }}.reservation_seats AS claim
                ON
                    claim.reservation_id = v_reservation_id
                    AND claim.show_seat_id = wanted.id
                    AND claim.show_id = v_show_id
                    -- Live ones, in a form that does not match the index of all live claims.
                    AND COALESCE(claim.released_at, 'infinity') = 'infinity';

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_is_valid IS NOT TRUE THEN 'INVALID_INPUT'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_found < v_wanted THEN 'SEATS_NOT_FOUND'
                WHEN v_is_ordered AND v_is_new THEN 'ORDER_EXISTS'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_is_new THEN
                -- A concurrent transaction that has read the old prices (an order, at REPEATABLE
                -- READ) must fail: an update that changes nothing achieves this.
                UPDATE {{ schema }}.seat_reservations
                SET extension_count = seat_reservations.extension_count
                WHERE
                    seat_reservations.id = v_reservation_id
                    AND seat_reservations.show_id = v_show_id;

                UPDATE {{ schema }}.reservation_seats
                SET
                    price_in_cents = wanted.price_in_cents,
                    ticket_type = CASE
                        WHEN p_ticket_types IS NULL THEN reservation_seats.ticket_type
                        ELSE wanted.ticket_type
                    END
                FROM unnest(p_seat_ids, p_prices_in_cents, p_ticket_types)
                    AS wanted (id, price_in_cents, ticket_type)
                WHERE
                    reservation_seats.reservation_id = v_reservation_id
                    AND reservation_seats.show_seat_id = wanted.id
                    AND reservation_seats.show_id = v_show_id;

                -- The status of the reservation stays, so the audit trigger does not fire.
                INSERT INTO {{ schema }}.seat_reservation_audit_log (
                    event_type, reservation_id, show_id, session_id, seat_count, seat_ids, metadata
                )
                VALUES (
                    'priced', v_reservation_id, v_show_id, v_hold.session_id, v_wanted, p_seat_ids,
                    jsonb_build_object(
                        'prices_in_cents', p_prices_in_cents, 'ticket_types', p_ticket_types
                    )
                );
            END IF;

            SELECT
                sum(claim.price_in_cents)::bigint,
                min(claim.currency)
            INTO
                total_amount_in_cents,
                currency
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_reservation_id
                AND claim.show_id = v_show_id
                AND COALESCE(claim.released_at, 'infinity') = 'infinity';
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
        reservation_id := v_reservation_id;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'price_seats', error_code, error_message, v_show_id, v_reservation_id, p_session_id,
            p_seat_ids, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.price_seats(text, text, uuid[], bigint[], text[]) IS
'Sets price and ticket type of seats of a hold, by arrays of the same length; NULL ticket types: '
'they stay. The tickets get both. Returns what all seats of the hold cost. A call that changes '
'nothing succeeds, so it is safe to repeat. Error codes: NOT_FOUND, PERMISSION_DENIED, '
'INVALID_INPUT, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), '
'SEATS_NOT_FOUND, ORDER_EXISTS (an order that is not cancelled), BUSY (locked by another session '
'for 2 s), INTERNAL_ERROR. Amounts are in the minor unit of the currency.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.price_seats(text, text, uuid[], bigint[], text[])
TO {{ app_role }};
{% endif %}

-- object: holds/move_reservation.sql sha256=e19478a63db85eebbfe2b5638c491cef1ec234a8aba3c07873953d32dc88abc7
-- Moves a hold to another session of the same buyer: a guest logs in.
CREATE OR REPLACE FUNCTION {{ schema }}.move_reservation(
    p_reservation_token text,
    p_session_id text,
    p_new_session_id text,
    p_user_id text DEFAULT NULL,
    p_email text DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    reservation_id uuid,
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
    v_look record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_now := clock_timestamp();
            v_hold := {{ internal_schema }}.lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                show.status = 'cancelled' AS is_cancelled,
                other.id AS other_id,
                other.expires_at > v_now AS is_other_live
            INTO v_look
            FROM {{ schema }}.shows AS show
            LEFT JOIN {{ schema }}.seat_reservations AS other
                ON
                    other.show_id = v_show_id
                    AND other.session_id = p_new_session_id
                    AND other.status = 'active'
                    AND other.id <> v_reservation_id
            WHERE show.id = v_show_id;

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                -- It may have been moved already, and the answer lost.
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id
                    AND v_hold.session_id IS DISTINCT FROM p_new_session_id
                    THEN 'PERMISSION_DENIED'
                WHEN COALESCE(p_new_session_id, '') !~ '[^[:space:]]'
                    OR length(p_new_session_id) > 200
                    OR length(p_user_id) > 200
                    OR length(p_email) > 320
                    THEN 'INVALID_INPUT'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_look.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_look.is_other_live THEN 'DUPLICATE_RESERVATION'
            END;
            EXIT WHEN
                error_code IS NOT NULL
                OR v_hold.session_id = p_new_session_id
                AND COALESCE(p_user_id = v_hold.user_id, p_user_id IS NULL)
                AND COALESCE(p_email = v_hold.email, p_email IS NULL);

            IF v_look.other_id IS NOT NULL THEN
                PERFORM {{ internal_schema }}.expire_reservations_for_buyer(
                    v_show_id, ARRAY[v_look.other_id], '{}'
                );
            END IF;

            UPDATE {{ schema }}.seat_reservations
            SET
                session_id = p_new_session_id,
                user_id = COALESCE(p_user_id, seat_reservations.user_id),
                email = COALESCE(p_email, seat_reservations.email)
            WHERE
                seat_reservations.id = v_reservation_id
                AND seat_reservations.show_id = v_show_id;

            -- The status of the reservation stays, so the audit trigger does not fire.
            INSERT INTO {{ schema }}.seat_reservation_audit_log (
                event_type, reservation_id, show_id, session_id, seat_count, seat_ids
            )
            SELECT
                'transferred',
                v_reservation_id,
                v_show_id,
                p_new_session_id,
                count(*) FILTER (WHERE claim.released_at IS NULL),
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = v_reservation_id
                AND claim.show_id = v_show_id;
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
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'seat_reservations_one_active_per_session' THEN
                    -- The new session has reserved between our look and our write: look again.
                    IF current_setting('transaction_isolation') IN (
                        'repeatable read', 'serializable'
                    ) THEN
                        RAISE EXCEPTION 'the session has reserved since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    ELSIF {{ internal_schema }}.wait_for_others(v_since) THEN
                        CONTINUE;
                    END IF;
                    error_code := 'DUPLICATE_RESERVATION';
                ELSE
                    error_code := 'INTERNAL_ERROR';
                    v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                END IF;
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        reservation_id := v_reservation_id;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'move_reservation', error_code, error_message, v_show_id, v_reservation_id,
            p_session_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.move_reservation(text, text, text, text, text) IS
'Moves a hold to another session, with its token, and records user and e-mail address where they '
'are given. A call that changes nothing succeeds, so it is safe to repeat. Error codes: NOT_FOUND, '
'PERMISSION_DENIED, INVALID_INPUT, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE '
'(cancelled), DUPLICATE_RESERVATION (the other session holds seats of the show), BUSY (locked by '
'another session for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.move_reservation(text, text, text, text, text)
TO {{ app_role }};
{% endif %}

-- object: holds/extend_reservation.sql sha256=88329cb5e28293f0836c518d9d3071e4e3f0fb83380adc691a2244538a8ae173
-- Gives a session more time for its hold.
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
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_settings record;
    -- A record: a row type would wait for a locked table before the block begins.
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
            -- Within a second: a JavaScript date has milliseconds, and some clients print seconds.
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
'Extends a hold by ticketing_settings.extension_minutes, at most max_extensions times and to '
'max_hold_minutes in all. To make the call safe to repeat, pass p_expires_at, the end that the '
'caller knows: a hold that ends later than that is returned unchanged. Error codes: NOT_FOUND, '
'PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), '
'MAX_EXTENSIONS_REACHED, BUSY (locked by another session for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.extend_reservation(text, text, timestamptz)
TO {{ app_role }};
{% endif %}

-- object: holds/release_reservation.sql sha256=3689bd1f5df9b62d9323743b330a31eff238f577955bbaba70766993b4d4c75e
-- Gives seats back before their hold is over: all of them, or some.
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
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- A record: a row type would wait for a locked table before the block begins.
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
                -- The order no longer matches the hold. A payment that arrives for it becomes
                -- refund_due.
                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'released'
                WHERE
                    ticket_orders.reservation_id = v_hold.id
                    AND ticket_orders.show_id = v_hold.show_id
                    AND ticket_orders.status IN ('pending', 'failed');

                IF v_wanted_ids @> v_held_ids THEN
                    seats_released := {{ internal_schema }}.end_reservations(
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

                    -- The hold continues with fewer seats. A concurrent transaction that has read
                    -- the old seats (an order, at REPEATABLE READ) must fail: an update that
                    -- changes nothing achieves this.
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

                    -- The status of the reservation stays, so the audit trigger does not fire.
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
'Gives back seats of a hold; NULL seat ids: all, which ends the hold. Cancels an order that is '
'not paid. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, SEATS_NOT_FOUND, BUSY '
'(locked by another session for 2 s), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.release_reservation(text, text, uuid[]) TO {{ app_role }};
{% endif %}

-- object: holds/reservation_details.sql sha256=00a223ba6cdd23f3d207c2868dd7e08c6406484511e13c109c0d51320a51ddf1
-- What get_reservation() and get_session_reservations() answer.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_details(
    p_show_ids uuid[],
    p_reservation_ids uuid[]
)
RETURNS TABLE (
    reservation_id uuid,
    reservation_token text,
    show_id uuid,
    session_id text,
    status text,
    expires_at timestamptz,
    extensions_remaining integer,
    seat_ids uuid[],
    prices_in_cents bigint[],
    ticket_types text[],
    total_amount_in_cents bigint,
    currency text,
    order_id uuid,
    order_status text
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
-- Each reservation by its key, and what belongs to it by its own.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    SELECT
        hold.id,
        hold.reservation_token::text,
        hold.show_id,
        hold.session_id::text,
        present.status,
        hold.expires_at,
        CASE
            WHEN present.status = 'active'
                THEN GREATEST(0, policy.max_extensions - hold.extension_count)
            ELSE 0
        END,
        claims.seat_ids,
        claims.prices_in_cents,
        claims.ticket_types,
        claims.total_amount_in_cents,
        claims.currency,
        last_order.id,
        last_order.status
    FROM unnest(p_show_ids, p_reservation_ids) AS wanted (show_id, id)
    INNER JOIN {{ schema }}.seat_reservations AS hold
        ON hold.show_id = wanted.show_id AND hold.id = wanted.id
    INNER JOIN {{ schema }}.ticketing_settings AS policy ON policy.singleton
    CROSS JOIN LATERAL (
        SELECT
            CASE
                WHEN hold.status = 'active' AND hold.expires_at <= v_now THEN 'expired'
                ELSE hold.status::text
            END AS status
    ) AS present
    CROSS JOIN LATERAL (
        -- FILTER instead of WHERE, so that claims are found by their reservation and not by the
        -- index of all live claims.
        SELECT
            COALESCE(
                array_agg(claim.show_seat_id ORDER BY claim.show_seat_id)
                FILTER (WHERE claim.is_live),
                '{}'
            ) AS seat_ids,
            COALESCE(
                array_agg(claim.price_in_cents ORDER BY claim.show_seat_id)
                FILTER (WHERE claim.is_live),
                '{}'
            ) AS prices_in_cents,
            COALESCE(
                array_agg(claim.ticket_type::text ORDER BY claim.show_seat_id)
                FILTER (WHERE claim.is_live),
                '{}'
            ) AS ticket_types,
            COALESCE(
                sum(claim.price_in_cents) FILTER (WHERE claim.is_live), 0
            )::bigint AS total_amount_in_cents,
            min(claim.currency) AS currency
        FROM (
            SELECT
                claimed.show_seat_id,
                claimed.price_in_cents,
                claimed.ticket_type,
                claimed.currency,
                -- An overdue hold has no seats, whether or not the cleanup has run.
                claimed.released_at IS NULL
                AND present.status IN ('active', 'completed') AS is_live
            FROM {{ schema }}.reservation_seats AS claimed
            WHERE
                claimed.reservation_id = hold.id
                AND claimed.show_id = hold.show_id
        ) AS claim
    ) AS claims
    LEFT JOIN LATERAL (
        SELECT
            known.id,
            known.status
        FROM {{ schema }}.ticket_orders AS known
        WHERE
            known.reservation_id = hold.id
            AND known.show_id = hold.show_id
        ORDER BY
            known.status IN ('pending', 'paid') DESC,
            known.created_at DESC,
            known.id DESC
        LIMIT 1
    ) AS last_order ON true
    ORDER BY
        hold.created_at,
        hold.id;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_details(uuid[], uuid[]) IS
'These reservations, each by its show and id, oldest first, with seats, prices and order.';

-- object: holds/get_reservation.sql sha256=c9cd467c589e0b66ffd8db218317b0a8adae2d7a9a55b5652fb31c4b97bee6b8
-- For the page of the basket, and after a lost answer.
CREATE OR REPLACE FUNCTION {{ schema }}.get_reservation(
    p_reservation_token text,
    p_session_id text
)
RETURNS TABLE (
    reservation_id uuid,
    reservation_token text,
    show_id uuid,
    session_id text,
    status text,
    expires_at timestamptz,
    extensions_remaining integer,
    seat_ids uuid[],
    prices_in_cents bigint[],
    ticket_types text[],
    total_amount_in_cents bigint,
    currency text,
    order_id uuid,
    order_status text
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_show_id constant uuid := CASE
        WHEN length(p_reservation_token) = 64
            AND translate(p_reservation_token, '0123456789abcdef', '') = ''
            THEN left(p_reservation_token, 32)::uuid
    END;
    v_id uuid;
BEGIN
    SELECT hold.id
    INTO v_id
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.reservation_token = p_reservation_token
        AND hold.show_id = v_show_id
        AND hold.session_id = p_session_id;

    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.reservation_details(ARRAY[v_show_id], ARRAY[v_id]) AS details;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_reservation(text, text) IS
'The reservation with this token, if it is of this session; no row if there is none. status is '
'active, completed, released or expired, which includes overdue ones. Seats, their prices and '
'types of tickets are in the same order, and empty unless it is active or completed. The order is '
'the one that is pending or paid, or else the last one. Amounts are in the minor unit of the '
'currency. Raises lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_reservation(text, text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}

-- object: holds/get_session_reservations.sql sha256=819d462840abe9b59bf4a5a2cbafca5eaf852cf65faeaad10c01bdaf6ac324c8
-- For the second tab, which has no token.
CREATE OR REPLACE FUNCTION {{ schema }}.get_session_reservations(p_session_id text)
RETURNS TABLE (
    reservation_id uuid,
    reservation_token text,
    show_id uuid,
    session_id text,
    status text,
    expires_at timestamptz,
    extensions_remaining integer,
    seat_ids uuid[],
    prices_in_cents bigint[],
    ticket_types text[],
    total_amount_in_cents bigint,
    currency text,
    order_id uuid,
    order_status text
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
DECLARE
    v_show_ids uuid[];
    v_ids uuid[];
BEGIN
    SELECT
        array_agg(hold.show_id),
        array_agg(hold.id)
    INTO
        v_show_ids,
        v_ids
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.session_id = p_session_id
        AND hold.status = 'active';

    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.reservation_details(v_show_ids, v_ids) AS details
    WHERE details.status = 'active';
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_session_reservations(text) IS
'The live holds of a session in all shows, oldest first, as get_reservation() returns them. '
'Raises lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_session_reservations(text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
