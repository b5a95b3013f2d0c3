-- The job. Commits each batch, so that a buyer waits for a batch at most. It commits, so it can
-- have neither a SET clause nor SECURITY DEFINER: every name in it is qualified.
CREATE OR REPLACE PROCEDURE {{ schema }}.run_reservation_cleanup(
    p_scheduler text DEFAULT 'external',
    p_batch_size integer DEFAULT 500
)
LANGUAGE plpgsql
AS $body$
DECLARE
    -- One run at a time. Held by each transaction of the run rather than by the session: it can
    -- never be left behind.
    v_lock constant bigint := pg_catalog.hashtextextended(
        'ticketdb cleanup ' || {{ schema | literal }}, 0
    );
    v_run_id bigint;
    v_expired integer;
    v_released integer;
    v_error text;
    v_sqlstate text;
BEGIN
    IF NOT pg_catalog.pg_try_advisory_xact_lock(v_lock) THEN
        RAISE NOTICE 'Another cleanup is running.';
        RETURN;
    END IF;

    UPDATE {{ schema }}.reservation_cleanup_runs
    SET
        status = 'failed',
        finished_at = pg_catalog.clock_timestamp(),
        error_message = 'The server process of the run has gone.'
    WHERE
        reservation_cleanup_runs.status = 'running'
        -- Unfinished runs are among the newest: no scan of the history.
        AND reservation_cleanup_runs.id > (
            SELECT pg_catalog.max(newest.id) - 100
            FROM {{ schema }}.reservation_cleanup_runs AS newest
        )
        AND NOT EXISTS (
            SELECT
            FROM pg_catalog.pg_stat_activity AS activity
            WHERE
                activity.pid = reservation_cleanup_runs.backend_pid
                AND activity.pid <> pg_catalog.pg_backend_pid()
        );

    INSERT INTO {{ schema }}.reservation_cleanup_runs (scheduler)
    VALUES (p_scheduler)
    RETURNING reservation_cleanup_runs.id INTO v_run_id;
    COMMIT;

    LOOP
        EXIT WHEN NOT pg_catalog.pg_try_advisory_xact_lock(v_lock);
        BEGIN
            SELECT
                batch.total_reservations_expired,
                batch.total_seats_released
            INTO
                v_expired,
                v_released
            FROM {{ schema }}.cleanup_expired_seat_reservations(p_batch_size) AS batch;
        EXCEPTION
            -- OTHERS leaves out a cancelled statement, a time-out included.
            WHEN query_canceled OR OTHERS THEN
                v_error := SQLERRM;
                v_sqlstate := SQLSTATE;
        END;
        EXIT WHEN v_error IS NOT NULL OR v_expired = 0;

        UPDATE {{ schema }}.reservation_cleanup_runs
        SET
            reservations_expired = reservation_cleanup_runs.reservations_expired + v_expired,
            seats_released = reservation_cleanup_runs.seats_released + v_released
        WHERE reservation_cleanup_runs.id = v_run_id;
        COMMIT;
    END LOOP;

    UPDATE {{ schema }}.reservation_cleanup_runs
    SET
        status = CASE WHEN v_error IS NULL THEN 'succeeded' ELSE 'failed' END,
        finished_at = pg_catalog.clock_timestamp(),
        error_message = v_error
    WHERE reservation_cleanup_runs.id = v_run_id;
    COMMIT;

    IF v_error IS NOT NULL THEN
        -- After the row is safe, so that the scheduler sees it too.
        RAISE EXCEPTION 'Reservation cleanup failed: %', v_error USING ERRCODE = v_sqlstate;
    END IF;
END;
$body$;

-- The linter takes the name in this one statement for a call.
COMMENT ON PROCEDURE {{ schema }}.run_reservation_cleanup(text, integer) IS -- noqa: LT01
'Ends all holds that are over, batch by batch, each committed; one run at a time. Writes '
'reservation_cleanup_runs.';
