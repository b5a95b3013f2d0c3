-- The job. Ends a few holds, commits, and goes on: each commit waits for the disk, which leaves the
-- processor to buyers, and nobody waits long for a hold that is being ended. It commits, so it can
-- have neither a SET clause nor SECURITY DEFINER: every name in it is qualified.
CREATE OR REPLACE PROCEDURE {{ schema }}.run_reservation_cleanup(
    p_scheduler text DEFAULT 'external',
    p_batch_size integer DEFAULT 12
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
    -- Portions of holds that are over, each of one show. Texts: there is no array of arrays of
    -- different lengths.
    v_show_ids uuid[] := '{}'::uuid[];
    v_reservation_ids text[];
    v_portion integer := 0;
    v_after_expires_at timestamptz := '-infinity'::timestamptz;
    v_after_id uuid := '00000000-0000-0000-0000-000000000000'::uuid;
    v_ended record;
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
            v_portion := v_portion + 1;
            IF v_portion > pg_catalog.cardinality(v_show_ids) THEN
                v_portion := 1;
                v_show_ids := '{}';
                SELECT
                    COALESCE(pg_catalog.array_agg(portion.show_id), '{}'),
                    pg_catalog.array_agg(portion.reservation_ids::text),
                    pg_catalog.max(portion.last_expires_at),
                    (pg_catalog.array_agg(portion.last_id))[1]
                INTO
                    v_show_ids,
                    v_reservation_ids,
                    v_after_expires_at,
                    v_after_id
                FROM {{ schema }}.overdue_holds(
                    5000, p_batch_size, v_after_expires_at, v_after_id
                ) AS portion;
                EXIT WHEN v_show_ids = '{}';
            END IF;

            v_ended := {{ schema }}.end_overdue_holds(
                v_show_ids[v_portion], v_reservation_ids[v_portion]::uuid[]
            );
            UPDATE {{ schema }}.reservation_cleanup_runs
            SET
                reservations_expired = reservation_cleanup_runs.reservations_expired
                    + pg_catalog.cardinality(v_ended.ended_ids),
                seats_released = reservation_cleanup_runs.seats_released
                    + v_ended.seats_released
            WHERE reservation_cleanup_runs.id = v_run_id;
        EXCEPTION
            -- OTHERS leaves out a cancelled statement, a time-out included.
            WHEN query_canceled OR OTHERS THEN
                v_error := COALESCE(v_error, SQLERRM);
                v_sqlstate := COALESCE(v_sqlstate, SQLSTATE);
                -- What stops one hold does not stop those after it.
                EXIT WHEN v_show_ids = '{}' OR SQLSTATE = '57014';
        END;
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
'Ends all holds that are over, at most p_batch_size a transaction; one run at a time. Goes on '
'after a hold that cannot be ended, and fails in the end. Writes reservation_cleanup_runs.';
