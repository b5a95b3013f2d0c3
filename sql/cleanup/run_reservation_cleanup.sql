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
