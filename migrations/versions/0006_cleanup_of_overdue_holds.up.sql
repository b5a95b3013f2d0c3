-- 0006: Cleanup of overdue holds.
-- A template, frozen by `ticketdb revision`.

-- object: cleanup/reservation_cleanup_runs.sql sha256=cd06e4d0c5b775d4adb9bdd9b6886a6ef7bf21e454775b0c9a763444fe2a837f
-- Runs of the cleanup, whoever started them. pg_cron's own history also knows of runs that never
-- reached us.
CREATE TABLE {{ schema }}.reservation_cleanup_runs (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    scheduler text NOT NULL,
    backend_pid integer NOT NULL DEFAULT pg_backend_pid(),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    status text NOT NULL DEFAULT 'running',
    reservations_expired integer NOT NULL DEFAULT 0,
    seats_released integer NOT NULL DEFAULT 0,
    orders_cancelled integer NOT NULL DEFAULT 0,
    error_message text,
    CONSTRAINT reservation_cleanup_runs_pkey PRIMARY KEY (id),
    CONSTRAINT reservation_cleanup_runs_scheduler_check CHECK (length(scheduler) BETWEEN 1 AND 100),
    CONSTRAINT reservation_cleanup_runs_status_check
    CHECK (status IN ('running', 'succeeded', 'failed', 'skipped')),
    CONSTRAINT reservation_cleanup_runs_finished_at_check CHECK (
        (status = 'running') = (finished_at IS NULL) AND isfinite(finished_at)
    ),
    CONSTRAINT reservation_cleanup_runs_started_at_check CHECK (isfinite(started_at)),
    CONSTRAINT reservation_cleanup_runs_reservations_expired_check
    CHECK (reservations_expired >= 0),
    CONSTRAINT reservation_cleanup_runs_seats_released_check CHECK (seats_released >= 0),
    CONSTRAINT reservation_cleanup_runs_orders_cancelled_check CHECK (orders_cancelled >= 0)
);

CREATE INDEX reservation_cleanup_runs_finished_at_idx
ON {{ schema }}.reservation_cleanup_runs (finished_at);

-- One run that is stuck makes others be skipped, once a minute and for days.
CREATE INDEX reservation_cleanup_runs_id_idx
ON {{ schema }}.reservation_cleanup_runs (id) WHERE status IN ('succeeded', 'failed');

COMMENT ON TABLE {{ schema }}.reservation_cleanup_runs IS
'Runs of run_reservation_cleanup(), kept for ticketing_settings.run_history_days.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.id IS 'Number of the run, ascending.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.scheduler IS
'Who started it: pg_cron, ticketdb, or external.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.backend_pid IS
'The server process of the run: one that is running without it has died.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.started_at IS 'When it began.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.finished_at IS
'When it ended; NULL while it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.status IS
'running, succeeded, failed, or skipped: another run was at work.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.reservations_expired IS
'How many holds it has ended so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.seats_released IS
'How many seats it has freed so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.orders_cancelled IS
'How many orders it has cancelled so far whose hold had expired.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.error_message IS
'Why it failed or was skipped.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_pkey ON {{ schema }}.reservation_cleanup_runs IS
'Runs are told apart; the newest are found from its end.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_scheduler_check
ON {{ schema }}.reservation_cleanup_runs IS
'Not empty, bounded.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_status_check
ON {{ schema }}.reservation_cleanup_runs IS
'The statuses there are.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_finished_at_check
ON {{ schema }}.reservation_cleanup_runs IS
'Set exactly when it has ended.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_started_at_check
ON {{ schema }}.reservation_cleanup_runs IS 'Finite.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_reservations_expired_check
ON {{ schema }}.reservation_cleanup_runs IS
'Not negative.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_seats_released_check
ON {{ schema }}.reservation_cleanup_runs IS
'Not negative.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_orders_cancelled_check
ON {{ schema }}.reservation_cleanup_runs IS
'Not negative.';
COMMENT ON INDEX {{ schema }}.reservation_cleanup_runs_finished_at_idx IS
'Serves the runs of a window, those that have not ended, and the purge.';
COMMENT ON INDEX {{ schema }}.reservation_cleanup_runs_id_idx IS
'Serves the last run that did something, however many were skipped since.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_cleanup_runs TO {{ monitor_role }};
{% endif %}

-- object: cleanup/reservation_cleanup_lock.sql sha256=4962f9a8c46f03b52ca2ce8f2dd766c79244aa55804d35d4df8e6cbd1ad2df40
-- One cleanup at a time: a run has this row locked in each of its transactions, so that the lock
-- can never be left behind. Only the owner can lock it, unlike an advisory lock, which any login
-- can.
CREATE TABLE {{ internal_schema }}.reservation_cleanup_lock (
    singleton boolean NOT NULL DEFAULT true,
    CONSTRAINT reservation_cleanup_lock_pkey PRIMARY KEY (singleton),
    CONSTRAINT reservation_cleanup_lock_singleton_check CHECK (singleton)
);

INSERT INTO {{ internal_schema }}.reservation_cleanup_lock DEFAULT VALUES;

-- A row that is not there looks like one that somebody else has locked.
CREATE TRIGGER reservation_cleanup_lock_keep_row
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.reservation_cleanup_lock
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The cleanup locks this row.'
);

COMMENT ON TABLE {{ internal_schema }}.reservation_cleanup_lock IS
'One row, locked by the run of the cleanup that is at work. Nobody but the owner has any right on '
'it.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_cleanup_lock.singleton IS
'Always true: there is one row.';
COMMENT ON CONSTRAINT reservation_cleanup_lock_pkey
ON {{ internal_schema }}.reservation_cleanup_lock IS
'One row only.';
COMMENT ON CONSTRAINT reservation_cleanup_lock_singleton_check
ON {{ internal_schema }}.reservation_cleanup_lock IS 'One row only.';
COMMENT ON TRIGGER reservation_cleanup_lock_keep_row
ON {{ internal_schema }}.reservation_cleanup_lock IS
'Refuses DELETE and TRUNCATE.';

-- object: cleanup/overdue_holds.sql sha256=2921df63fe0ef627cdda30c3ff844d3b8654ac64e76b0c9968b238d89bf0904d
-- What there is for the cleanup to do: the oldest holds that are over, in portions of one show
-- each. Goes on from where the caller has come to, so that what somebody holds locked is looked at
-- once.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.overdue_holds(
    p_limit integer,
    p_portion_size integer,
    p_after_expires_at timestamptz,
    p_after_id uuid
)
RETURNS TABLE (
    show_id uuid,
    reservation_ids uuid[],
    last_expires_at timestamptz,
    last_id uuid
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- The oldest come from the end of an index: not from collecting all and sorting them.
SET enable_bitmapscan = off
AS $body$
BEGIN
    RETURN QUERY
    WITH oldest AS MATERIALIZED (
        SELECT
            hold.id,
            hold.show_id,
            hold.expires_at
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.is_active
            AND hold.expires_at <= now()
            AND (hold.expires_at, hold.id) > (p_after_expires_at, p_after_id)
        ORDER BY
            hold.expires_at,
            hold.id
        LIMIT p_limit
    ),

    numbered AS (
        SELECT
            oldest.id,
            oldest.show_id,
            row_number() OVER (
                PARTITION BY oldest.show_id
                ORDER BY oldest.expires_at, oldest.id
            ) - 1 AS place,
            last_value(oldest.expires_at) OVER everything AS last_expires_at,
            last_value(oldest.id) OVER everything AS last_id
        FROM oldest
        WINDOW
            everything AS (
                ORDER BY oldest.expires_at, oldest.id
                ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            )
    )

    SELECT
        numbered.show_id,
        array_agg(numbered.id) AS reservation_ids,
        numbered.last_expires_at,
        numbered.last_id
    FROM numbered
    GROUP BY
        numbered.show_id,
        numbered.place / p_portion_size,
        numbered.last_expires_at,
        numbered.last_id
    ORDER BY
        numbered.show_id,
        numbered.place / p_portion_size;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.overdue_holds(integer, integer, timestamptz, uuid) IS
'The oldest p_limit active reservations that are over, beyond the given one, in portions of at '
'most p_portion_size of one show; each row repeats which was the last of all. Internal.';

-- object: cleanup/end_overdue_holds.sql sha256=be7070ca5f20ee68af6edde853eeb3b626275954d944d1161ef8d8ba4d606bcd
-- One step of the cleanup. What somebody has locked, a hold or any of its seats, is being dealt
-- with by somebody and is left for the next run: nothing is waited for while other holds are
-- locked. Reports an error instead of raising it, and only of the hold that it is about.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.end_overdue_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    OUT ended_ids uuid[],
    OUT seats_released integer,
    OUT error_code text,
    OUT error_message text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The arrays would be planned anew each time, and for their present length.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
-- Holds and seats are not waited for at all. What is left to wait for is a claim or a table that
-- somebody works on by hand.
SET lock_timeout = '100ms'
AS $body$
DECLARE
    v_ids uuid[] := p_reservation_ids;
    v_seat_ids uuid[];
    v_locked_seat_ids uuid[];
    v_half record;
BEGIN
    ended_ids := '{}';
    seats_released := 0;
    WHILE v_ids <> '{}' LOOP
        BEGIN
            v_ids := ARRAY(
                SELECT hold.id
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = ANY(v_ids)
                    AND hold.ended_at IS NULL
                    AND hold.expires_at <= now()
                ORDER BY hold.id
                FOR UPDATE SKIP LOCKED
            );
            -- FILTER and not WHERE: claims are to be found by their reservation.
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_seat_ids
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = ANY(v_ids)
                AND claim.show_id = p_show_id;
            v_locked_seat_ids := ARRAY(
                SELECT seat.id
                FROM {{ schema }}.show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(v_seat_ids)
                ORDER BY seat.id
                FOR UPDATE SKIP LOCKED
            );
            IF cardinality(v_locked_seat_ids) = cardinality(v_seat_ids) THEN
                seats_released := {{ internal_schema }}.end_holds(p_show_id, v_ids, 'expired');
                ended_ids := v_ids;
                RETURN;
            END IF;

            v_ids := ARRAY(
                SELECT claim.reservation_id
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = ANY(v_ids)
                    AND claim.show_id = p_show_id
                GROUP BY claim.reservation_id
                HAVING
                    bool_and(
                        claim.released_at IS NOT NULL
                        OR claim.show_seat_id = ANY(v_locked_seat_ids)
                    )
            );
            -- Gives all locks back, those on the holds that are left out among them.
            RAISE EXCEPTION 'somebody has seats locked' USING ERRCODE = 'TDB01';
        EXCEPTION
            WHEN SQLSTATE 'TDB01' THEN
                NULL;
            -- OTHERS leaves out a cancelled statement, a time-out included.
            WHEN query_canceled OR OTHERS THEN
                IF SQLSTATE IN ('57014', '40001') OR cardinality(v_ids) = 1 THEN
                    IF SQLSTATE NOT IN ('55P03', '40P01') THEN
                        error_code := SQLSTATE;
                        error_message := SQLERRM;
                    END IF;
                    RETURN;
                END IF;
                -- What stops one hold does not stop the others.
                FOR v_half IN
                    SELECT half.*
                    FROM
                        (
                            VALUES
                            (v_ids[:cardinality(v_ids) / 2]),
                            (v_ids[cardinality(v_ids) / 2 + 1:])
                        ) AS halves (ids)
                    CROSS JOIN LATERAL {{ internal_schema }}.end_overdue_holds(
                        p_show_id, halves.ids
                    ) AS half
                LOOP
                    ended_ids := ended_ids || v_half.ended_ids;
                    seats_released := seats_released + v_half.seats_released;
                    error_code := COALESCE(error_code, v_half.error_code);
                    error_message := COALESCE(error_message, v_half.error_message);
                END LOOP;
                RETURN;
        END;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.end_overdue_holds(uuid, uuid[]) IS
'Ends those of these reservations of a show that are over and that nobody has locked, seats '
'included, and frees their seats; returns which, how many seats, and the SQLSTATE and words of the '
'first error that stopped one of them. Internal.';

-- object: cleanup/cancel_dead_orders.sql sha256=eb423ec6176488cbbbabcf9422855dae62187259d425f1bf0a5864683881c2fc
-- The other step of the cleanup. An order waits for its payment as long as its hold, and
-- order_minutes longer; a payment that comes after that is still judged by confirm_payment().
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cancel_dead_orders(p_limit integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The log of orders tells it: see log_change().
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
-- Few orders wait at any time: they come from the index of those, each with its hold.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET lock_timeout = '100ms'
AS $body$
DECLARE
    v_dead_before timestamptz;
    v_ids uuid[];
    v_show_ids uuid[];
BEGIN
    SELECT now() - make_interval(mins => settings.order_minutes)
    INTO v_dead_before
    FROM {{ schema }}.ticketing_settings AS settings;

    -- Whoever brings an expired hold back to life, for a payment that comes late, changes its order.
    SELECT
        array_agg(dead.id),
        array_agg(dead.show_id)
    INTO
        v_ids,
        v_show_ids
    FROM (
        SELECT
            waiting.id,
            waiting.show_id
        FROM {{ schema }}.ticket_orders AS waiting
        INNER JOIN {{ schema }}.seat_reservations AS hold
            ON hold.id = waiting.reservation_id AND hold.show_id = waiting.show_id
        WHERE
            waiting.status = 'pending'
            AND waiting.created_at <= v_dead_before
            AND hold.status = 'expired'
            AND hold.ended_at <= v_dead_before
        ORDER BY
            waiting.created_at,
            waiting.id
        LIMIT p_limit
        FOR UPDATE OF waiting SKIP LOCKED
    ) AS dead;

    UPDATE {{ schema }}.ticket_orders
    SET
        status = 'cancelled',
        cancel_reason = 'overdue'
    FROM unnest(v_ids, v_show_ids) AS dead (id, show_id)
    WHERE
        ticket_orders.id = dead.id
        AND ticket_orders.show_id = dead.show_id;
    RETURN COALESCE(cardinality(v_ids), 0);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cancel_dead_orders(integer) IS
'Cancels at most p_limit orders that have been waiting for a payment for order_minutes since their '
'hold expired, leaves out those that somebody has locked, and returns how many. Internal.';

-- object: cleanup/cleanup_expired_seat_reservations.sql sha256=6d7ce5b9831bbde4a44c4fd50a6e10366eb15540ea40aa13931d5aed6226b373
-- Ends holds that are over, oldest first. Sales do not depend on it: it keeps tables and dashboards
-- tidy.
CREATE OR REPLACE FUNCTION {{ schema }}.cleanup_expired_seat_reservations(
    p_batch_size integer DEFAULT 5000,
    OUT total_reservations_expired integer,
    OUT total_seats_released integer,
    OUT reservation_ids uuid[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_portion record;
    v_ended record;
    v_after_expires_at timestamptz := '-infinity'::timestamptz;
    v_after_id uuid := '00000000-0000-0000-0000-000000000000'::uuid;
    v_error text;
BEGIN
    IF p_batch_size IS NULL OR p_batch_size NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'p_batch_size must be between 1 and 100000, not %',
            COALESCE(p_batch_size::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    total_reservations_expired := 0;
    total_seats_released := 0;
    reservation_ids := '{}';

    -- Again, where all of it or some was locked by somebody else.
    WHILE total_reservations_expired < p_batch_size LOOP
        FOR v_portion IN
            SELECT portion.*
            FROM {{ internal_schema }}.overdue_holds(
                p_batch_size - total_reservations_expired, p_batch_size,
                v_after_expires_at, v_after_id
            ) AS portion
        LOOP
            v_ended := {{ internal_schema }}.end_overdue_holds(
                v_portion.show_id, v_portion.reservation_ids
            );
            -- Cancelled, or to be tried again by the caller.
            IF v_ended.error_code IN ('57014', '40001') THEN
                RAISE EXCEPTION '%', v_ended.error_message USING ERRCODE = v_ended.error_code;
            END IF;
            v_error := COALESCE(v_error, v_ended.error_message);
            reservation_ids := reservation_ids || v_ended.ended_ids;
            total_seats_released := total_seats_released + v_ended.seats_released;
            v_after_expires_at := v_portion.last_expires_at;
            v_after_id := v_portion.last_id;
        END LOOP;
        EXIT WHEN NOT FOUND;
        total_reservations_expired := cardinality(reservation_ids);
    END LOOP;
    IF v_error IS NOT NULL THEN
        RAISE WARNING 'Some holds could not be ended: %', v_error;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cleanup_expired_seat_reservations(integer) IS
'Ends at most p_batch_size holds that are over and frees their seats; skips what somebody has '
'locked, a hold or a seat, and what cannot be ended, with a warning. Returns how many holds and '
'seats, and which holds.';

-- object: cleanup/run_reservation_cleanup.sql sha256=061310239bb43331dfa9d40141eef7821b210c8160e95e092e391c1a8d8adb40
-- The job. Ends a few holds, commits, and goes on: each commit waits for the disk, which leaves the
-- processor to buyers, and nobody waits long for a hold that is being ended. It commits, so it can
-- have neither a SET clause nor SECURITY DEFINER: each transaction begins with the path instead.
CREATE OR REPLACE PROCEDURE {{ schema }}.run_reservation_cleanup(
    p_scheduler text DEFAULT 'external',
    p_batch_size integer DEFAULT 12,
    INOUT run_id bigint DEFAULT NULL,
    INOUT status text DEFAULT NULL,
    INOUT reservations_expired integer DEFAULT NULL,
    INOUT seats_released integer DEFAULT NULL,
    INOUT orders_cancelled integer DEFAULT NULL
)
LANGUAGE plpgsql
AS $body$
DECLARE
    v_orders_at_once constant integer := 100;
    -- Portions of holds that are over, each of one show. Texts: there is no array of arrays of
    -- different lengths.
    v_show_ids pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
    v_reservation_ids pg_catalog.text[];
    v_portion integer := 0;
    v_after_expires_at pg_catalog.timestamptz := '-infinity'::pg_catalog.timestamptz;
    v_after_id pg_catalog.uuid
        := '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid;
    v_ended record;
    v_cancelled integer;
    v_is_done boolean := false;
    v_error pg_catalog.text;
    v_sqlstate pg_catalog.text;
BEGIN
    -- Ends what the caller's settings have made of this transaction; within one of the caller's it
    -- is an error, before anything is done.
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    reservations_expired := 0;
    seats_released := 0;
    orders_cancelled := 0;

    -- One run at a time. Locked by each transaction of the run rather than by the session: it can
    -- never be left behind. A restore without data comes without the row.
    INSERT INTO {{ internal_schema }}.reservation_cleanup_lock DEFAULT VALUES ON CONFLICT DO NOTHING;
    PERFORM FROM {{ internal_schema }}.reservation_cleanup_lock AS baton FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        status := 'skipped';
        INSERT INTO {{ schema }}.reservation_cleanup_runs (
            scheduler, started_at, finished_at, status, error_message
        )
        SELECT
            p_scheduler,
            moment.moment,
            moment.moment,
            'skipped',
            'Another run is at work.'
        FROM clock_timestamp() AS moment
        RETURNING reservation_cleanup_runs.id INTO run_id;
        RAISE NOTICE 'Another cleanup is running.';
        RETURN;
    END IF;

    UPDATE {{ schema }}.reservation_cleanup_runs
    SET
        status = 'failed',
        finished_at = clock_timestamp(),
        error_message = 'The server process of the run has gone.'
    WHERE
        reservation_cleanup_runs.id IN (
            SELECT gone.id
            FROM {{ schema }}.reservation_cleanup_runs AS gone
            WHERE
                gone.finished_at IS NULL
                AND NOT EXISTS (
                    SELECT
                    FROM pg_stat_activity AS activity
                    WHERE
                        activity.pid = gone.backend_pid
                        AND activity.pid <> pg_backend_pid()
                )
            FOR UPDATE SKIP LOCKED
        );

    INSERT INTO {{ schema }}.reservation_cleanup_runs (scheduler)
    VALUES (p_scheduler)
    RETURNING reservation_cleanup_runs.id INTO run_id;

    LOOP
        COMMIT AND CHAIN;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        EXIT WHEN v_is_done;
        PERFORM FROM {{ internal_schema }}.reservation_cleanup_lock AS baton FOR UPDATE SKIP LOCKED;
        EXIT WHEN NOT FOUND;

        BEGIN
            v_cancelled := 0;
            IF v_portion = cardinality(v_show_ids) THEN
                v_portion := 0;
                SELECT
                    COALESCE(array_agg(portion.show_id), '{}'),
                    array_agg(portion.reservation_ids::text),
                    COALESCE(max(portion.last_expires_at), v_after_expires_at),
                    COALESCE((array_agg(portion.last_id))[1], v_after_id)
                INTO
                    v_show_ids,
                    v_reservation_ids,
                    v_after_expires_at,
                    v_after_id
                FROM {{ internal_schema }}.overdue_holds(
                    5000, p_batch_size, v_after_expires_at, v_after_id
                ) AS portion;
            END IF;
            IF v_show_ids = '{}' THEN
                -- Every hold that is over has had its turn.
                v_cancelled := {{ internal_schema }}.cancel_dead_orders(v_orders_at_once);
                v_is_done := v_cancelled < v_orders_at_once;
                SELECT
                    '{}'::uuid[] AS ended_ids,
                    0 AS seats_released,
                    NULL AS error_code,
                    NULL AS error_message
                INTO v_ended;
            ELSE
                v_portion := v_portion + 1;
                v_ended := {{ internal_schema }}.end_overdue_holds(
                    v_show_ids[v_portion], v_reservation_ids[v_portion]::uuid[]
                );
                -- What stops one hold does not stop those after it.
                v_error := COALESCE(v_error, v_ended.error_message);
                v_sqlstate := COALESCE(v_sqlstate, v_ended.error_code);
                v_is_done := v_ended.error_code IS NOT DISTINCT FROM '57014';
            END IF;

            -- How far it has come, for those who watch. Whoever has the row locked is not waited
            -- for: in the end it is written whole.
            UPDATE {{ schema }}.reservation_cleanup_runs
            SET
                reservations_expired = reservation_cleanup_runs.reservations_expired
                    + cardinality(v_ended.ended_ids),
                seats_released = reservation_cleanup_runs.seats_released + v_ended.seats_released,
                orders_cancelled = reservation_cleanup_runs.orders_cancelled + v_cancelled
            WHERE
                reservation_cleanup_runs.id = (
                    SELECT mine.id
                    FROM {{ schema }}.reservation_cleanup_runs AS mine
                    WHERE mine.id = run_id
                    FOR UPDATE SKIP LOCKED
                );
            reservations_expired := run_reservation_cleanup.reservations_expired
                + cardinality(v_ended.ended_ids);
            seats_released := run_reservation_cleanup.seats_released + v_ended.seats_released;
            orders_cancelled := run_reservation_cleanup.orders_cancelled + v_cancelled;
        EXCEPTION
            -- OTHERS leaves out a cancelled statement, a time-out included.
            WHEN query_canceled OR OTHERS THEN
                v_error := COALESCE(v_error, SQLERRM);
                v_sqlstate := COALESCE(v_sqlstate, SQLSTATE);
                v_is_done := true;
        END;
    END LOOP;

    status := CASE WHEN v_error IS NULL THEN 'succeeded' ELSE 'failed' END;
    UPDATE {{ schema }}.reservation_cleanup_runs
    SET
        status = run_reservation_cleanup.status,
        finished_at = clock_timestamp(),
        reservations_expired = run_reservation_cleanup.reservations_expired,
        seats_released = run_reservation_cleanup.seats_released,
        orders_cancelled = run_reservation_cleanup.orders_cancelled,
        error_message = v_error
    WHERE reservation_cleanup_runs.id = run_id;
    COMMIT;

    IF v_error IS NOT NULL THEN
        -- After the row is safe, so that the scheduler sees it too.
        RAISE EXCEPTION 'Reservation cleanup failed: %', v_error USING ERRCODE = v_sqlstate;
    END IF;
END;
$body$;

-- The linter takes the name in this one statement for a call.
COMMENT ON PROCEDURE {{ schema }}.run_reservation_cleanup( -- noqa: LT01
    text, integer, bigint, text, integer, integer, integer
) IS
'Ends all holds that are over, at most p_batch_size a transaction, and cancels orders of holds '
'that expired; one run at a time. Goes on after a hold that cannot be ended, and fails in the end. '
'Writes reservation_cleanup_runs; returns what this run did, or that it was skipped.';

-- object: cleanup/can_use_pg_cron.sql sha256=dc88e08191b838f34d77e0fb156e3f0f35f00498ccdcdb5a53bc0a32fe235235
-- to_regclass of a table of pg_cron would raise an error where its schema is closed to us.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.can_use_pg_cron()
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    EXISTS (
        SELECT
        FROM pg_extension AS extension
        INNER JOIN pg_namespace AS namespace ON namespace.nspname = 'cron'
        WHERE
            extension.extname = 'pg_cron'
            AND has_schema_privilege(namespace.oid, 'USAGE')
    );
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.can_use_pg_cron() IS
'Whether pg_cron is installed in this database and its schema is open to the caller.';

-- object: cleanup/cron_cleanup_runs.sql sha256=ec7e515c69988d5d1bcc061ce56f625113274f448bc2102c4b55107989a89840
-- For reservation_cleanup_job_runs(): what pg_cron has on record of the cleanup. Its only index is
-- on runid, so the record of all jobs is read from its end, and no further than need be. The
-- statements are dynamic because pg_cron may be missing, and may come later.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cron_cleanup_runs(
    p_limit integer, p_since timestamptz
)
RETURNS TABLE (
    runid bigint,
    job_pid integer,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz,
    seen_at timestamptz,
    jobname text,
    schedule text,
    active boolean,
    command text
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
ROWS 20
AS $body$
DECLARE
    v_job_ids bigint[];
    v_run record;
    v_found integer := 0;
    v_older integer := 0;
BEGIN
    EXECUTE
    $query$
    SELECT array_agg(job.jobid)
    FROM cron.job
    WHERE
        job.database = current_database()
        AND (job.jobname = $1 OR job.command = $2)
    $query$
    INTO v_job_ids
    USING
        {{ cleanup_job }},
        (
            SELECT jobs.command
            FROM {{ internal_schema }}.scheduled_jobs() AS jobs
            WHERE jobs.routine = 'run_reservation_cleanup'
        );
    IF v_job_ids IS NULL THEN
        RETURN;
    END IF;

    seen_at := now();
    FOR v_run IN EXECUTE
        $query$
        SELECT
            detail.runid,
            detail.job_pid,
            detail.status,
            detail.return_message,
            detail.start_time,
            detail.end_time,
            job.jobid IS NOT NULL AS is_ours,
            job.jobname::text,
            job.schedule,
            job.active,
            job.command
        FROM cron.job_run_details AS detail
        LEFT JOIN cron.job ON job.jobid = detail.jobid AND job.jobid = ANY($1)
        WHERE
            -- A day of a job that runs each second, and then some.
            detail.runid > (SELECT runid_seq.last_value FROM cron.runid_seq) - 100000
        ORDER BY detail.runid DESC
        $query$
        USING v_job_ids
    LOOP
        -- A run that never began has no time: it came before the next one that has.
        seen_at := COALESCE(v_run.start_time, seen_at);
        IF v_run.start_time < p_since THEN
            -- One old time proves nothing: a clock may have stepped.
            v_older := v_older + 1;
            EXIT WHEN v_older > 100;
        END IF;
        CONTINUE WHEN NOT v_run.is_ours OR COALESCE(v_run.end_time, seen_at) < p_since;

        runid := v_run.runid;
        job_pid := v_run.job_pid;
        status := v_run.status;
        return_message := v_run.return_message;
        start_time := v_run.start_time;
        end_time := v_run.end_time;
        jobname := v_run.jobname;
        schedule := v_run.schedule;
        active := v_run.active;
        command := v_run.command;
        RETURN NEXT;
        v_found := v_found + 1;
        EXIT WHEN v_found = p_limit;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cron_cleanup_runs(integer, timestamptz) IS
'The last p_limit runs of the cleanup that pg_cron has on record, newest first, as far as they '
'ended at or after p_since; NULL for no bound. seen_at is the latest at which it can have begun. '
'Internal.';

-- object: cleanup/reservation_cleanup_job_runs.sql sha256=ad9e3e59e67d94adc920839e6a086b02a0b5cca60d391d44f911bb6edc6cc417
-- For the view of nearly the same name, and for the totals. pg_cron shows each role only its own
-- rows, and its schema must stay closed to those who monitor, since cron.schedule is for everybody
-- there: so this runs as the owner of the job.
--
-- Our record has all runs that began, pg_cron's also those that it could not begin. Each is in the
-- order of its numbers, and the two are merged by time: a clock that steps back moves none of the
-- runs of one record before another.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(
    p_limit integer DEFAULT 10,
    p_since timestamptz DEFAULT NULL
)
RETURNS TABLE (
    jobname text,
    schedule text,
    active boolean,
    command text,
    status text,
    return_message text,
    start_time timestamptz,
    end_time timestamptz,
    scheduler text
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Its estimates are guesses: to compile takes longer than to run.
SET jit = off
SET plan_cache_mode = 'force_custom_plan'
SET enable_seqscan = off
SET enable_nestloop = off
ROWS 20
AS $body$
DECLARE
    v_since timestamptz := p_since;
    v_has_pg_cron constant boolean := {{ internal_schema }}.can_use_pg_cron();
BEGIN
    IF p_since IS NULL THEN
        -- What is older than as many of our own is not among the last.
        SELECT min(newest.started_at)
        INTO v_since
        FROM (
            SELECT run.started_at
            FROM {{ schema }}.reservation_cleanup_runs AS run
            ORDER BY run.id DESC
            LIMIT p_limit
        ) AS newest
        HAVING count(*) = p_limit;
    END IF;

    RETURN QUERY
    WITH own AS MATERIALIZED (
        (
            SELECT run.*
            FROM {{ schema }}.reservation_cleanup_runs AS run
            WHERE p_since IS NULL
            ORDER BY run.id DESC
            LIMIT p_limit
        )
        UNION ALL
        SELECT run.*
        FROM {{ schema }}.reservation_cleanup_runs AS run
        WHERE run.finished_at >= p_since
        UNION ALL
        SELECT run.*
        FROM {{ schema }}.reservation_cleanup_runs AS run
        WHERE
            run.finished_at IS NULL
            AND p_since IS NOT NULL
    ),

    cron AS MATERIALIZED (
        SELECT run.*
        FROM {{ internal_schema }}.cron_cleanup_runs(p_limit, v_since) AS run
        WHERE v_has_pg_cron
    ),

    pairs AS MATERIALIZED (
        SELECT
            own.id,
            cron.*
        FROM own
        INNER JOIN cron ON cron.job_pid = own.backend_pid
        WHERE
            own.scheduler = 'pg_cron'
            -- Numbers of processes come again, though not within the minute.
            AND own.started_at > cron.start_time - interval '1 minute'
            AND own.started_at < COALESCE(cron.end_time, 'infinity') + interval '1 minute'
    ),

    known AS (
        SELECT
            max(own.started_at) OVER (ORDER BY own.id) AS at,
            own.id AS number,
            pair.jobname,
            pair.schedule,
            pair.active,
            pair.command,
            CASE
                WHEN own.status <> 'running' THEN own.status
                WHEN pair.end_time IS NOT NULL THEN pair.status
                -- The next run will say so.
                WHEN activity.pid IS NULL AND NOT pg_is_in_recovery() THEN 'failed'
                ELSE own.status
            END AS status,
            own.error_message,
            pair.return_message,
            own.reservations_expired,
            own.seats_released,
            own.started_at,
            COALESCE(own.finished_at, pair.end_time) AS finished_at,
            own.scheduler
        FROM own
        LEFT JOIN pairs AS pair ON pair.id = own.id
        LEFT JOIN pg_stat_activity AS activity ON activity.pid = own.backend_pid
    ),

    unknown AS (
        SELECT
            COALESCE(max(cron.start_time) OVER (ORDER BY cron.runid), cron.seen_at) AS at,
            cron.*
        FROM cron
        LEFT JOIN pairs AS pair ON pair.runid = cron.runid
        WHERE pair.runid IS NULL
    ),

    merged AS (
        SELECT
            known.at,
            known.number,
            COALESCE(known.jobname, {{ cleanup_job }}) AS jobname,
            known.schedule,
            COALESCE(known.active, true) AS active,
            COALESCE(known.command, 'CALL run_reservation_cleanup()') AS command,
            known.status,
            COALESCE(
                CASE WHEN known.status = 'failed' THEN known.return_message END,
                known.error_message,
                -- What it did is no reason why it failed.
                CASE
                    WHEN known.status <> 'failed'
                        THEN format(
                            '%s reservations expired, %s seats released',
                            known.reservations_expired,
                            known.seats_released
                        )
                END
            ) AS return_message,
            known.started_at AS start_time,
            known.finished_at AS end_time,
            known.scheduler
        FROM known
        UNION ALL
        SELECT
            unknown.at,
            unknown.runid,
            unknown.jobname,
            unknown.schedule,
            unknown.active,
            unknown.command,
            unknown.status,
            unknown.return_message,
            unknown.start_time,
            unknown.end_time,
            'pg_cron' AS scheduler
        FROM unknown
    )

    SELECT
        merged.jobname,
        merged.schedule,
        merged.active,
        merged.command,
        merged.status,
        merged.return_message,
        merged.start_time,
        merged.end_time,
        merged.scheduler
    FROM merged
    ORDER BY
        merged.at DESC,
        merged.scheduler,
        merged.number DESC
    LIMIT p_limit;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(integer, timestamptz) IS
'The last p_limit runs of the cleanup, of pg_cron and of everybody else, newest first, as far as '
'they ended at or after p_since or have not ended; NULL for no bound. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(integer, timestamptz)
TO {{ monitor_role }};
{% endif %}

-- object: cleanup/cleanup_run_totals.sql sha256=aa05a8c6f00a5281233d165f81a4d53106c25c79f80e4c0a80f4eeeca13c440c
-- For cleanup_job_health and the alerts. Of a window, and not of so many runs: those that are
-- skipped or queued behind a long one would push it out of sight.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cleanup_run_totals(
    p_since timestamptz,
    OUT runs bigint,
    OUT failed_runs bigint,
    OUT skipped_runs bigint,
    OUT longest_run_seconds double precision,
    OUT last_start_time timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Its estimates are guesses: to compile takes longer than to run.
SET jit = off
AS $body$
BEGIN
    SELECT
        count(*) FILTER (WHERE run.status IN ('succeeded', 'failed')),
        count(*) FILTER (WHERE run.status = 'failed'),
        count(*) FILTER (WHERE run.status = 'skipped'),
        GREATEST(
            max(extract(EPOCH FROM COALESCE(run.end_time, now()) - run.start_time)), 0
        )::double precision,
        (
            array_agg(run.start_time ORDER BY run.ordinality) FILTER (
                WHERE run.status IN ('succeeded', 'failed') AND run.start_time IS NOT NULL
            )
        )[1]
    INTO
        runs,
        failed_runs,
        skipped_runs,
        longest_run_seconds,
        last_start_time
    FROM {{ internal_schema }}.reservation_cleanup_job_runs(NULL, p_since) WITH ORDINALITY AS run;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cleanup_run_totals(timestamptz) IS
'How many runs of the cleanup ended at or after this time, how many of them failed, how many '
'others were skipped, how many seconds the longest took, one that is at work included, and when '
'the last of those that ended began. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_run_totals(
    timestamptz
) TO {{ monitor_role }};
{% endif %}

-- object: cleanup/reservation_cleanup_job_status.sql sha256=14caa9556e4c097317876245f52f36373ee1e6266e6ff2ef8e7678ef013dd245
-- The view that the guide asks for. The same columns with pg_cron and without.
CREATE OR REPLACE VIEW {{ schema }}.reservation_cleanup_job_status AS
SELECT
    run.jobname,
    run.schedule,
    run.active,
    run.command,
    run.status,
    run.return_message,
    run.start_time,
    run.end_time,
    extract(EPOCH FROM run.end_time - run.start_time)::double precision AS duration_seconds,
    run.scheduler
FROM {{ internal_schema }}.reservation_cleanup_job_runs() WITH ORDINALITY AS run
ORDER BY run.ordinality;

COMMENT ON VIEW {{ schema }}.reservation_cleanup_job_status IS
'The last 10 runs of the cleanup, newest first.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.jobname IS 'Name of the job.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.schedule IS
'When pg_cron runs it; NULL for another scheduler.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.active IS
'Whether the job is switched on.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.command IS 'What it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.status IS
'running, succeeded, failed, or skipped: another run was at work; pg_cron also knows starting, '
'connecting and sending.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.return_message IS
'What it did, or why it failed; NULL where it failed without a word.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.start_time IS
'When it began; NULL while pg_cron has not started it, or where it could not.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.end_time IS
'When it ended; NULL while it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.duration_seconds IS
'How long it took, in seconds.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.scheduler IS
'Who started it: pg_cron, ticketdb, or external.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_cleanup_job_status TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
