-- 0009: Cleanup of expired reservations.
-- A template, frozen by `ticketdb revision`.

-- object: tables/reservation_cleanup_runs.sql sha256=799b26d82b0c190d9c430f4246d212b76be70806373ca29f6e618ff786cad8a9
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
    error_message text,
    CONSTRAINT reservation_cleanup_runs_pkey PRIMARY KEY (id),
    CONSTRAINT reservation_cleanup_runs_scheduler_check CHECK (length(scheduler) BETWEEN 1 AND 100),
    CONSTRAINT reservation_cleanup_runs_status_check
    CHECK (status IN ('running', 'succeeded', 'failed')),
    CONSTRAINT reservation_cleanup_runs_finished_at_check CHECK (
        (status = 'running') = (finished_at IS NULL) AND isfinite(finished_at)
    ),
    CONSTRAINT reservation_cleanup_runs_started_at_check CHECK (isfinite(started_at)),
    CONSTRAINT reservation_cleanup_runs_reservations_expired_check
    CHECK (reservations_expired >= 0),
    CONSTRAINT reservation_cleanup_runs_seats_released_check CHECK (seats_released >= 0)
);

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
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.status IS 'running, succeeded or failed.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.reservations_expired IS
'How many holds it has ended so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.seats_released IS
'How many seats it has freed so far.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_runs.error_message IS 'Why it failed.';
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

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.reservation_cleanup_runs TO {{ monitor_role }};
{% endif %}

-- object: functions/overdue_holds.sql sha256=98c68453cfaf513684965188deacd5b76d4de0ad88c4e4ecfc871aa4ba7181f8
-- What there is for the cleanup to do: the oldest holds that are over, in portions of one show
-- each. Goes on from where the caller has come to, so that what somebody holds locked is looked at
-- once.
CREATE OR REPLACE FUNCTION {{ schema }}.overdue_holds(
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

COMMENT ON FUNCTION {{ schema }}.overdue_holds(integer, integer, timestamptz, uuid) IS
'The oldest p_limit active reservations that are over, beyond the given one, in portions of at '
'most p_portion_size of one show; each row repeats which was the last of all. Internal.';

-- object: functions/end_overdue_holds.sql sha256=aece3857ab16cbf6aa9ca789756e1ca9f3253ca7e2c2b0c3ae5526ec7d09033e
-- One step of the cleanup. What somebody holds locked is being dealt with by somebody, and is left
-- for the next run.
CREATE OR REPLACE FUNCTION {{ schema }}.end_overdue_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    OUT ended_ids uuid[],
    OUT seats_released integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The arrays would be planned anew each time, and for their present length.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
BEGIN
    ended_ids := ARRAY(
        SELECT hold.id
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = ANY(p_reservation_ids)
            AND hold.ended_at IS NULL
            AND hold.expires_at <= now()
        ORDER BY hold.id
        FOR UPDATE SKIP LOCKED
    );
    seats_released := {{ schema }}.end_holds(p_show_id, ended_ids, 'expired');
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.end_overdue_holds(uuid, uuid[]) IS
'Ends those of these reservations of a show that are over and that nobody holds locked, and frees '
'their seats; returns which, and how many seats. Internal.';

-- object: functions/cleanup_expired_seat_reservations.sql sha256=499af194f831fe57748819adfcd5fe2ac793bb8442cc127e49d390aa279f2253
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
            FROM {{ schema }}.overdue_holds(
                p_batch_size - total_reservations_expired, p_batch_size,
                v_after_expires_at, v_after_id
            ) AS portion
        LOOP
            v_ended := {{ schema }}.end_overdue_holds(
                v_portion.show_id, v_portion.reservation_ids
            );
            reservation_ids := reservation_ids || v_ended.ended_ids;
            total_seats_released := total_seats_released + v_ended.seats_released;
            v_after_expires_at := v_portion.last_expires_at;
            v_after_id := v_portion.last_id;
        END LOOP;
        EXIT WHEN NOT FOUND;
        total_reservations_expired := cardinality(reservation_ids);
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cleanup_expired_seat_reservations(integer) IS
'Ends at most p_batch_size holds that are over and frees their seats; skips what somebody holds '
'locked. Returns how many holds and seats, and which holds.';

-- object: functions/run_reservation_cleanup.sql sha256=45e046d90a9da6bd3e04f5f08cefc08e2f466f8d2058162a1ec090df6322da30
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

-- object: functions/can_use_pg_cron.sql sha256=f53e82b66439b1dad87865cf3f8f3f37d29d6e5241282fe43e66e02713cf4424
-- to_regclass of a table of pg_cron would raise an error where its schema is closed to us.
CREATE OR REPLACE FUNCTION {{ schema }}.can_use_pg_cron()
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

COMMENT ON FUNCTION {{ schema }}.can_use_pg_cron() IS
'Whether pg_cron is installed in this database and its schema is open to the caller.';

-- object: functions/reservation_cleanup_job_runs.sql sha256=6c9e4ea6f305fed9b9e26445c150e0cf5a1ec8fa7b3dfe25174dda7c98970f44
-- For the view of nearly the same name, and for cleanup_job_health. pg_cron shows each role only
-- its own rows, and its schema must stay closed to those who monitor, since cron.schedule is for
-- everybody there: so this runs as the owner of the job. The statements are dynamic because pg_cron
-- may be missing, and may come later.
CREATE OR REPLACE FUNCTION {{ schema }}.reservation_cleanup_job_runs(p_limit integer DEFAULT 10)
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
ROWS 20
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        {{ cleanup_job }}::text,
        NULL::text,
        true,
        'CALL run_reservation_cleanup()'::text,
        run.status,
        COALESCE(
            run.error_message,
            format(
                '%s reservations expired, %s seats released',
                run.reservations_expired,
                run.seats_released
            )
        ),
        run.started_at,
        run.finished_at,
        run.scheduler
    FROM {{ schema }}.reservation_cleanup_runs AS run
    WHERE
        -- pg_cron has its own record of these, unless it was removed.
        run.scheduler <> 'pg_cron' OR NOT {{ schema }}.can_use_pg_cron()
    ORDER BY run.id DESC
    LIMIT p_limit;

    IF {{ schema }}.can_use_pg_cron() THEN
        RETURN QUERY EXECUTE
        $query$
        SELECT
            job.jobname::text,
            job.schedule,
            job.active,
            job.command,
            run.status,
            run.return_message,
            run.start_time,
            run.end_time,
            'pg_cron'
        FROM cron.job AS job
        CROSS JOIN LATERAL (
            SELECT detail.*
            FROM cron.job_run_details AS detail
            WHERE
                detail.jobid = job.jobid
                -- The only index is on runid. A bound keeps a long history of other jobs from being
                -- searched.
                AND detail.runid > (SELECT runid_seq.last_value FROM cron.runid_seq) - 10000
            ORDER BY detail.runid DESC
            LIMIT $2
        ) AS run
        WHERE
            job.jobname = $1
            AND job.database = current_database()
        $query$
        USING
            {{ cleanup_job }},
            p_limit;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.reservation_cleanup_job_runs(integer) IS
'The last p_limit runs of the cleanup, of pg_cron and of everybody else. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.reservation_cleanup_job_runs(integer)
TO {{ monitor_role }};
{% endif %}

-- object: views/reservation_cleanup_job_status.sql sha256=89e89223423fcd924b16ed1e85deeeb8fcb510b8a4587cad13d26f339c3e98bc
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
FROM {{ schema }}.reservation_cleanup_job_runs() AS run
ORDER BY run.start_time DESC NULLS LAST
LIMIT 10;

COMMENT ON VIEW {{ schema }}.reservation_cleanup_job_status IS
'The last 10 runs of the cleanup, newest first.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.jobname IS 'Name of the job.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.schedule IS
'When pg_cron runs it; NULL for another scheduler.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.active IS
'Whether the job is switched on.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.command IS 'What it runs.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.status IS
'running, succeeded or failed; pg_cron also knows starting, connecting and sending.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.return_message IS
'What it did, or why it failed.';
COMMENT ON COLUMN {{ schema }}.reservation_cleanup_job_status.start_time IS
'When it began; NULL while pg_cron has not started it.';
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
SELECT {{ schema }}.revoke_default_privileges();
