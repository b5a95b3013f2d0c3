-- Used by the view health. pg_cron reports that a connection failed, but not why. Three causes can
-- be seen from here: a renamed database, a dropped role, a new port. The result is part of a label,
-- so it contains no ages and no other numbers that change.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cleanup_job_problem()
RETURNS text
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_last record;
    v_job record;
BEGIN
    SELECT run.*
    INTO v_last
    FROM {{ internal_schema }}.reservation_cleanup_job_runs() WITH ORDINALITY AS run
    WHERE run.status IN ('succeeded', 'failed')
    ORDER BY run.ordinality
    LIMIT 1;

    IF {{ internal_schema }}.can_use_pg_cron() THEN
        FOR v_job IN EXECUTE
            $query$
            SELECT
                job.database,
                job.nodeport,
                job.username,
                known.datname IS NULL AS has_no_database,
                COALESCE(NOT role.rolcanlogin, true) AS has_no_role
            FROM cron.job
            LEFT JOIN pg_database AS known ON known.datname = job.database
            LEFT JOIN pg_roles AS role ON role.rolname = job.username
            WHERE
                job.active
                AND job.command = $1
                AND (job.database = current_database() OR known.datname IS NULL)
            $query$
            USING (
                SELECT jobs.command
                FROM {{ internal_schema }}.scheduled_jobs() AS jobs
                WHERE jobs.routine = 'run_reservation_cleanup'
            )
        LOOP
            IF v_job.has_no_database THEN
                RETURN format(
                    'pg_cron runs the cleanup in database %s, which does not exist: run '
                    'ticketdb apply', v_job.database
                );
            ELSIF v_job.has_no_role THEN
                RETURN format(
                    'pg_cron runs the cleanup as role %s, which does not exist or may not log '
                    'in: run ticketdb apply', v_job.username
                );
            ELSIF v_last.status = 'failed'
                AND v_last.start_time IS NULL
                AND v_job.nodeport <> current_setting('port')::integer
            THEN
                RETURN format(
                    'pg_cron connects to port %s, but this server listens on port %s: run '
                    'ticketdb apply', v_job.nodeport, current_setting('port')
                );
            END IF;
        END LOOP;
    END IF;

    IF v_last.status = 'failed' AND (v_last.start_time IS NULL OR v_last.return_message <> '') THEN
        RETURN concat_ws(
            ': ',
            CASE
                WHEN v_last.start_time IS NULL THEN 'the last run could not be started'
                ELSE 'the last run failed'
            END,
            -- Numbers and ids differ from run to run, and would make each message a new label.
            left(
                regexp_replace(
                    split_part(v_last.return_message, chr(10), 1),
                    '[[:alnum:]_-]*[0-9][[:alnum:]_-]*', '#', 'g'
                ),
                200
            )
        );
    END IF;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cleanup_job_problem() IS
'Why the cleanup does not run, or why its last run failed, in one sentence; NULL if nothing is '
'wrong. Used by the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_job_problem() TO {{ monitor_role }};
{% endif %}
