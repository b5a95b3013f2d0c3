-- 0006: Cleanup of overdue holds.
-- A template, frozen by `ticketdb revision`.

-- object: cleanup/reservation_cleanup_runs.sql sha256=08da87271057810ceafc7ec21125bee3e7ed7e219dbd2d6e4c094168a284aa6c
-- Runs of the cleanup, by any scheduler. pg_cron's own record also has runs that could not start.
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

-- A run that is stuck makes the others skip, once a minute and for days.
CREATE INDEX reservation_cleanup_runs_id_idx
ON {{ schema }}.reservation_cleanup_runs (id) WHERE status IN ('succeeded', 'failed');

COMMENT ON TABLE {{ schema }}.reservation_cleanup_runs IS
'Runs of run_reservation_cleanup(), kept for ticketing_settings.run_history_days.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.id IS 'Number of the run, ascending.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.scheduler IS
'Who started it: pg_cron, ticketdb, or external.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.backend_pid IS
'Server process of the run. If it is gone and the status is still running, the run has failed.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.started_at IS 'When it began.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.finished_at IS
'When it ended; NULL while it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.status IS
'running, succeeded, failed, or skipped, because another run was in progress.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.reservations_expired IS
'How many holds it has ended so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.seats_released IS
'How many seats it has freed so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.orders_cancelled IS
'How many orders of expired holds it has cancelled so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.error_message IS
'Why it failed or was skipped.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_pkey ON {{ schema }}.reservation_cleanup_runs IS
'Serves the newest runs, from its end.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_scheduler_check
ON {{ schema }}.reservation_cleanup_runs IS 'Not empty, at most 100 characters.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_status_check
ON {{ schema }}.reservation_cleanup_runs IS 'Only known statuses.';
COMMENT ON CONSTRAINT reservation_cleanup_runs_finished_at_check
ON {{ schema }}.reservation_cleanup_runs IS 'Set exactly if it has ended.';
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
'Serves the last run that was not skipped.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_cleanup_runs TO {{ monitor_role }};
{% endif %}

-- object: cleanup/reservation_cleanup_lock.sql sha256=7b364534e8f58a14842c1733d7ec282b9b98badff2a802ad86135d49c860d5b8
-- One cleanup at a time: each transaction of a run locks this row, so that the lock cannot outlive
-- the run. Only the owner can lock it, unlike an advisory lock, which any login can take.
CREATE TABLE {{ internal_schema }}.reservation_cleanup_lock (
    singleton boolean NOT NULL DEFAULT true,
    CONSTRAINT reservation_cleanup_lock_pkey PRIMARY KEY (singleton),
    CONSTRAINT reservation_cleanup_lock_singleton_check CHECK (singleton)
);

INSERT INTO {{ internal_schema }}.reservation_cleanup_lock DEFAULT VALUES;

-- To SKIP LOCKED, a missing row looks like a locked one.
CREATE TRIGGER reservation_cleanup_lock_keep_row
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.reservation_cleanup_lock
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The cleanup locks this row.'
);

COMMENT ON TABLE {{ internal_schema }}.reservation_cleanup_lock IS
'One row, locked by the cleanup that is running. Only the owner has a privilege on it.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_cleanup_lock.singleton IS
'Always true: there is one row.';
COMMENT ON CONSTRAINT reservation_cleanup_lock_singleton_check
ON {{ internal_schema }}.reservation_cleanup_lock IS 'There is one row only.';
COMMENT ON TRIGGER reservation_cleanup_lock_keep_row
ON {{ internal_schema }}.reservation_cleanup_lock IS
'Refuses DELETE and TRUNCATE.';

-- object: cleanup/overdue_reservation_batches.sql sha256=8a858c661c95f33029cbd0daba61864dd6d68972ba0274a192d6beec2347dcda
-- What the cleanup has to do: the oldest overdue holds, in batches of one show each. Continues
-- after the last hold that the caller has seen, so that a locked hold is tried once.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.overdue_reservation_batches(
    p_limit integer,
    p_batch_size integer,
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
-- Read the oldest from the end of an index, instead of collecting and sorting all.
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
        numbered.place / p_batch_size,
        numbered.last_expires_at,
        numbered.last_id
    ORDER BY
        numbered.show_id,
        numbered.place / p_batch_size;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.overdue_reservation_batches(
    integer, integer, timestamptz, uuid
) IS
'The oldest p_limit overdue reservations after the given one, in batches of at most p_batch_size '
'of one show. Each row repeats which is the last of all.';

-- object: cleanup/expire_reservations_for_cleanup.sql sha256=01760f272fe5e0217d48c69a9e90f89a75b671d06a281a827a63091d54907d1c
-- One step of the cleanup. Skips a hold that is locked, or has a locked seat, and leaves it for the
-- next run: it never waits while it has other holds locked, unlike expire_reservations_for_buyer().
-- Returns an error instead of raising it, and only for the hold that caused it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.expire_reservations_for_cleanup(
    p_show_id uuid,
    p_reservation_ids uuid[],
    OUT ended_ids uuid[],
    OUT seats_released integer,
    OUT error_code text,
    OUT error_message text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Otherwise each call would be planned anew, for the present length of its arrays.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
-- Locked holds and seats are skipped. What remains to wait for is a claim or a table that a DBA has
-- locked.
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
            -- FILTER instead of WHERE, so that claims are found by their reservation.
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
                seats_released := {{ internal_schema }}.end_reservations(
                    p_show_id, v_ids, 'expired'
                );
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
            -- Releases all locks, including those on the holds that are skipped.
            RAISE EXCEPTION 'some of the seats are locked' USING ERRCODE = 'TDB01';
        EXCEPTION
            WHEN SQLSTATE 'TDB01' THEN
                NULL;
            -- OTHERS does not include query_canceled: a cancelled statement, or its time-out.
            WHEN query_canceled OR OTHERS THEN
                IF SQLSTATE IN ('57014', '40001') OR cardinality(v_ids) = 1 THEN
                    IF SQLSTATE NOT IN ('55P03', '40P01') THEN
                        error_code := SQLSTATE;
                        error_message := SQLERRM;
                    END IF;
                    RETURN;
                END IF;
                -- An error in one hold must not stop the others: try each half on its own.
                FOR v_half IN
                    SELECT half.*
                    FROM
                        (
                            VALUES
                            (v_ids[:cardinality(v_ids) / 2]),
                            (v_ids[cardinality(v_ids) / 2 + 1:])
                        ) AS halves (ids)
                    CROSS JOIN LATERAL {{ internal_schema }}.expire_reservations_for_cleanup(
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

COMMENT ON FUNCTION {{ internal_schema }}.expire_reservations_for_cleanup(uuid, uuid[]) IS
'Ends those of these reservations of a show that are overdue and not locked, seats included, and '
'frees their seats. Returns which, how many seats, and the SQLSTATE and message of the first '
'error.';

-- object: cleanup/cancel_dead_orders.sql sha256=b5090cb65cf00bf6ed979ad1098bafb6b448b1417ef47a7e38bee59d4deb276c
-- Called by run_reservation_cleanup() after the overdue holds. An order waits for its payment until
-- its hold expires and order_minutes longer; confirm_payment() still handles a payment that arrives
-- later.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cancel_dead_orders(p_limit integer)
RETURNS integer
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Not a change by hand: ticket_order_audit_log records it, see log_change().
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
-- Few orders are pending at any time: read them from their index, and the hold of each.
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

    -- It is enough to lock the order: a late payment that revives the hold changes the order, too.
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
'Cancels at most p_limit orders that are still not paid order_minutes after their hold expired, '
'skips locked ones, and returns how many it cancelled.';

-- object: cleanup/cleanup_expired_seat_reservations.sql sha256=757e6a174b5e4cb98d777df75751e635b9005cd62b16f43daf19878305af7a38
-- Ends overdue holds, oldest first, in the caller's transaction; the job is
-- run_reservation_cleanup(). Sales do not depend on either: they keep tables and dashboards tidy.
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
    v_batch record;
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

    -- Repeated, since some of a round may have been locked by other sessions.
    WHILE total_reservations_expired < p_batch_size LOOP
        FOR v_batch IN
            SELECT batch.*
            FROM {{ internal_schema }}.overdue_reservation_batches(
                p_batch_size - total_reservations_expired, p_batch_size,
                v_after_expires_at, v_after_id
            ) AS batch
        LOOP
            v_ended := {{ internal_schema }}.expire_reservations_for_cleanup(
                v_batch.show_id, v_batch.reservation_ids
            );
            -- Cancelled, or to be retried by the caller.
            IF v_ended.error_code IN ('57014', '40001') THEN
                RAISE EXCEPTION '%', v_ended.error_message USING ERRCODE = v_ended.error_code;
            END IF;
            v_error := COALESCE(v_error, v_ended.error_message);
            reservation_ids := reservation_ids || v_ended.ended_ids;
            total_seats_released := total_seats_released + v_ended.seats_released;
            v_after_expires_at := v_batch.last_expires_at;
            v_after_id := v_batch.last_id;
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
'Ends at most p_batch_size overdue holds and frees their seats. Skips a hold that is locked, or '
'has a locked seat; and, with a warning, a hold that cannot be ended. Returns how many holds and '
'seats, and which holds.';

-- object: cleanup/run_reservation_cleanup.sql sha256=5e18f7320bbca2896920f375b49fdb6225e56d3f17f58763fcf14c2eccdb81be
-- The cleanup job. Ends a few holds, commits, and continues: each commit waits for the disk, which
-- leaves the processor to buyers, and no lock on a hold lasts long. Since it commits, it can have
-- neither a SET clause nor SECURITY DEFINER: each transaction sets the search path instead.
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
    -- Batches of overdue holds, each of one show. Texts, since an array cannot contain arrays of
    -- different lengths.
    v_show_ids pg_catalog.uuid[] := '{}'::pg_catalog.uuid[];
    v_reservation_ids pg_catalog.text[];
    v_batch integer := 0;
    v_after_expires_at pg_catalog.timestamptz := '-infinity'::pg_catalog.timestamptz;
    v_after_id pg_catalog.uuid
        := '00000000-0000-0000-0000-000000000000'::pg_catalog.uuid;
    v_ended record;
    v_cancelled integer;
    v_is_done boolean := false;
    v_error pg_catalog.text;
    v_sqlstate pg_catalog.text;
BEGIN
    -- Ends the transaction that the caller's settings apply to. Inside a transaction of the caller
    -- it raises an error, before anything is done.
    COMMIT;
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    reservations_expired := 0;
    seats_released := 0;
    orders_cancelled := 0;

    -- One run at a time. Each transaction of the run takes the lock, so that it cannot outlive the
    -- run. The row is missing after a restore without data.
    INSERT INTO {{ internal_schema }}.reservation_cleanup_lock DEFAULT VALUES
    ON CONFLICT DO NOTHING;
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
            IF v_batch = cardinality(v_show_ids) THEN
                v_batch := 0;
                SELECT
                    COALESCE(array_agg(batch.show_id), '{}'),
                    array_agg(batch.reservation_ids::text),
                    COALESCE(max(batch.last_expires_at), v_after_expires_at),
                    COALESCE((array_agg(batch.last_id))[1], v_after_id)
                INTO
                    v_show_ids,
                    v_reservation_ids,
                    v_after_expires_at,
                    v_after_id
                FROM {{ internal_schema }}.overdue_reservation_batches(
                    5000, p_batch_size, v_after_expires_at, v_after_id
                ) AS batch;
            END IF;
            IF v_show_ids = '{}' THEN
                -- All overdue holds have been tried.
                v_cancelled := {{ internal_schema }}.cancel_dead_orders(v_orders_at_once);
                v_is_done := v_cancelled < v_orders_at_once;
                SELECT
                    '{}'::uuid[] AS ended_ids,
                    0 AS seats_released,
                    NULL AS error_code,
                    NULL AS error_message
                INTO v_ended;
            ELSE
                v_batch := v_batch + 1;
                v_ended := {{ internal_schema }}.expire_reservations_for_cleanup(
                    v_show_ids[v_batch], v_reservation_ids[v_batch]::uuid[]
                );
                -- An error in one hold does not stop those after it.
                v_error := COALESCE(v_error, v_ended.error_message);
                v_sqlstate := COALESCE(v_sqlstate, v_ended.error_code);
                v_is_done := v_ended.error_code IS NOT DISTINCT FROM '57014';
            END IF;

            -- Progress, for monitoring. Skipped if the row is locked: at the end, it is written as
            -- a whole.
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
            -- OTHERS does not include query_canceled: a cancelled statement, or its time-out.
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
        -- After the commit of the row, so that the scheduler records the failure, too.
        RAISE EXCEPTION 'Reservation cleanup failed: %', v_error USING ERRCODE = v_sqlstate;
    END IF;
END;
$body$;

-- The linter takes the name in this one statement for a call.
COMMENT ON PROCEDURE {{ schema }}.run_reservation_cleanup( -- noqa: LT01
    text, integer, bigint, text, integer, integer, integer
) IS
'Ends all overdue holds, at most p_batch_size in a transaction, and cancels orders of expired '
'holds that are not paid; one run at a time. Continues after a hold that cannot be ended, and '
'fails at the end. Writes reservation_cleanup_runs; returns what this run did, or that it was '
'skipped.';

-- object: cleanup/can_use_pg_cron.sql sha256=c3152f27490fbca26f880aef480a6ad4bad7a99f57ea95f3b5886bbc3c956bc5
-- Called before pg_cron is used: to_regclass() of one of its tables would raise an error without
-- USAGE on its schema.
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
'Whether pg_cron is installed in this database and the caller may use its schema.';

-- object: cleanup/cron_cleanup_runs.sql sha256=cb12e2c9b80ed5697d6c24663d2b28c6e2048ff5dc3b8a4e3a88ec368939b669
-- For reservation_cleanup_job_runs(): the runs of the cleanup in the record of pg_cron. Its only
-- index is on runid, so the record of all jobs is read from its end, no further than necessary. The
-- statements are dynamic because pg_cron may be missing, and may be installed later.
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
            -- More than a day of a job that runs each second.
            detail.runid > (SELECT runid_seq.last_value FROM cron.runid_seq) - 100000
        ORDER BY detail.runid DESC
        $query$
        USING v_job_ids
    LOOP
        -- A run that could not start has no time: it is older than the run read before it.
        seen_at := COALESCE(v_run.start_time, seen_at);
        IF v_run.start_time < p_since THEN
            -- One old time proves nothing, since a clock may have been set back.
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
'The last p_limit runs of the cleanup in the record of pg_cron, newest first, that ended at or '
'after p_since; NULL for no limit. seen_at is the latest time at which the run can have started.';

-- object: cleanup/reservation_cleanup_job_runs.sql sha256=0fcd590bd08b3f3adfb50bf0ab85bd3279926fcbd998d52e1c950da25893001f
-- For the view reservation_cleanup_job_status, and for the totals. Runs as the owner of the job:
-- pg_cron shows each role only its own rows, and roles that monitor must not get USAGE on its
-- schema, where PUBLIC may call cron.schedule().
--
-- Our record has all runs that started, the record of pg_cron also those that could not. Each is in
-- the order of its numbers, and the two are merged by time, so that a clock that is set back does
-- not reorder the runs of one record.
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
-- The estimates are guesses: JIT compilation would take longer than the query.
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
        -- Runs that are older than p_limit of our own are not among the last p_limit.
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
            -- Process ids are reused, though not within a minute.
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
                -- The next run will record it as failed.
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
                -- What it did does not explain why it failed.
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
'The last p_limit runs of the cleanup, by pg_cron or any other scheduler, newest first, that '
'ended at or after p_since or have not ended; NULL for no limit. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_cleanup_job_runs(integer, timestamptz)
TO {{ monitor_role }};
{% endif %}

-- object: cleanup/cleanup_run_totals.sql sha256=858761bd8e6fe29f91b20dc7a90104f925bf8e806c70b904228cef8a7467a91c
-- For cleanup_job_health and the alerts. Counts the runs of a window and not the last few, among
-- which a run could be displaced by those that are skipped, or queued behind a long one.
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
-- The estimates are guesses: JIT compilation would take longer than the query.
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
'Totals of the cleanup runs that ended at or after p_since: those that were not skipped, those of '
'them that failed, those that were skipped, the seconds of the longest (a run in progress '
'included), and when the last of those that were not skipped began. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_run_totals(
    timestamptz
) TO {{ monitor_role }};
{% endif %}

-- object: cleanup/reservation_cleanup_job_status.sql sha256=8d9c11a4cb749a46309e1d3aee8153e4adbd8f64f15c9a68546b27379fca27c2
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
'Whether the job is enabled.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.command IS 'What it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.status IS
'running, succeeded, failed, or skipped, because another run was in progress; pg_cron also has '
'starting, connecting and sending.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.return_message IS
'What it did, or why it failed; NULL if it failed without a message.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.start_time IS
'When it started; NULL if pg_cron has not started it yet, or could not.';
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
