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
