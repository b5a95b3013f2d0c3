-- 0008: Views, invariants, alerts and health.
-- A template, frozen by `ticketdb revision`.

-- object: monitoring/check_invariants.sql sha256=38ae722f7f0e3c9732e4f86987882546acb9f2f040d26572e5bcdd16d1fcca3a
-- Scheduled every ten minutes, and called by hand after a repair.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.check_invariants()
RETURNS TABLE (broken_invariant text, found_violations bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    WITH found AS MATERIALIZED (
        SELECT
            now_found.invariant,
            now_found.violations,
            now_found.description
        FROM {{ internal_schema }}.current_violations() AS now_found
    ),

    -- Invariants of an older release.
    forgotten AS (
        DELETE FROM {{ internal_schema }}.last_invariant_check
        WHERE last_invariant_check.invariant NOT IN (SELECT found.invariant FROM found)
    )

    INSERT INTO {{ internal_schema }}.last_invariant_check (
        invariant, violations, description, checked_at
    )
    SELECT
        found.invariant,
        found.violations,
        found.description,
        clock_timestamp()
    FROM found
    ON CONFLICT (invariant) DO UPDATE SET
        violations = excluded.violations,
        description = excluded.description,
        checked_at = excluded.checked_at;

    RETURN QUERY
    SELECT
        broken.invariant,
        broken.violations
    FROM {{ internal_schema }}.last_invariant_check AS broken
    WHERE broken.violations > 0
    ORDER BY broken.invariant;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.check_invariants() IS
'Counts the violations of each invariant with current_violations(), and stores the result for the '
'views invariant_violations and health. Returns the invariants that are broken.';

-- object: monitoring/first_check.sql sha256=98141a570e343cbd29fbb7dacf8e20b0f2eda1044fad57b1ff0705a395522f14
-- Gives invariant_violations a row for each invariant from the installation on, before the job
-- first runs.
SELECT {{ internal_schema }}.check_invariants();

-- object: monitoring/invariant_violations.sql sha256=5dec2924c4aabd90a453c0a9111338c9926dd7052517f3deaf27edacf3f331d4
-- The last result of check_invariants(). For a result that is current, call current_violations().
CREATE OR REPLACE VIEW {{ monitoring_schema }}.invariant_violations AS
SELECT
    checked.invariant,
    checked.violations,
    checked.description,
    GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        AS checked_age_seconds
FROM {{ internal_schema }}.last_invariant_check AS checked;

COMMENT ON VIEW {{ monitoring_schema }}.invariant_violations IS
'Invariants, one row each, with the number of violations when check_invariants() last counted, '
'every ten minutes.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.invariant IS
'Name of the invariant.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.violations IS
'Number of violations: 0 when healthy.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.description IS
'What is counted as a violation.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.checked_age_seconds IS
'Seconds since they were counted.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.invariant_violations TO {{ monitor_role }};
{% endif %}

-- object: monitoring/active_reservation_totals.sql sha256=1f6decc069fc37503434dd4dac0ffc1d1655b658b5cc4b355b55f56076b63387
-- Used by active_reservations and realtime_dashboard. A function, so that it has planner settings
-- of its own: live holds are few in a large table, and statistics gathered on a quiet night lead to
-- slow plans.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.active_reservation_totals(
    OUT active_reservations bigint,
    OUT expiring_soon bigint,
    OUT total_seats_held bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
BEGIN
    SELECT
        count(*),
        count(*) FILTER (WHERE hold.expires_at < now() + interval '2 minutes'),
        COALESCE(sum(claims.seats), 0)::bigint
    INTO
        active_reservations,
        expiring_soon,
        total_seats_held
    FROM {{ schema }}.seat_reservations AS hold
    CROSS JOIN LATERAL (
        -- FILTER, not WHERE, so that claims are found by reservation, and not by the index of all
        -- live claims.
        SELECT count(*) FILTER (WHERE claim.released_at IS NULL) AS seats
        FROM {{ schema }}.reservation_seats AS claim
        WHERE
            claim.reservation_id = hold.id
            AND claim.show_id = hold.show_id
    ) AS claims
    WHERE
        hold.is_active
        AND hold.expires_at > now();
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.active_reservation_totals() IS
'Number of live holds, of those that will be overdue within two minutes, and of the seats they '
'hold. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.active_reservation_totals() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/overdue_hold_totals.sql sha256=e6a7973e5014b3c91082896a79d87ed6e7e36fab0a517ef541f10dafbb4d449b
-- Used by cleanup_job_health and system_health: the backlog of the cleanup.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.overdue_hold_totals(
    OUT overdue_holds bigint,
    OUT oldest_overdue_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $body$
BEGIN
    SELECT
        count(*),
        COALESCE(extract(EPOCH FROM now() - min(hold.expires_at))::double precision, 0)
    INTO
        overdue_holds,
        oldest_overdue_seconds
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.is_active
        AND hold.expires_at <= now();
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.overdue_hold_totals() IS
'Number of overdue holds, and the seconds for which the oldest has been overdue. Used by the '
'monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.overdue_hold_totals() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/cleanup_job_state.sql sha256=85e0192c65d6b104fdeb4cda5f0ec4ad157d7717bc957073ab0e18cc62388125
-- Used by cleanup_job_health and the dashboards. Ages and durations are NULL if the cleanup never
-- ran.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.cleanup_job_state(
    OUT scheduler text,
    OUT last_run_age_seconds double precision,
    OUT last_run_duration_seconds double precision,
    OUT last_run_failed boolean,
    OUT failed_runs_24h bigint,
    OUT runs_24h bigint,
    OUT is_scheduled boolean,
    OUT scheduler_alive boolean,
    OUT has_run boolean,
    OUT skipped_runs_24h bigint,
    OUT longest_run_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Since the planner's estimates are guesses, JIT compilation would take longer than the query
-- itself.
SET jit = off
SET enable_seqscan = off
AS $body$
DECLARE
    v_last record;
    v_last_start_time timestamptz;
BEGIN
    SELECT
        totals.runs,
        totals.failed_runs,
        totals.skipped_runs,
        totals.longest_run_seconds,
        totals.last_start_time
    INTO
        runs_24h,
        failed_runs_24h,
        skipped_runs_24h,
        longest_run_seconds,
        v_last_start_time
    FROM
        {{ internal_schema }}.cleanup_run_totals({{ internal_schema }}.window_start('24 hours'))
            AS totals;

    -- A run in progress has neither succeeded nor failed. If the last ten are all running, queued
    -- or skipped, the last finished one is in reservation_cleanup_runs.
    FOR v_last IN
        SELECT
            run.status,
            run.start_time,
            run.end_time,
            run.scheduler,
            run.ordinality
        FROM {{ internal_schema }}.reservation_cleanup_job_runs() WITH ORDINALITY AS run
        WHERE run.status IN ('succeeded', 'failed')
        UNION ALL
        (
            SELECT
                run.status,
                run.started_at,
                run.finished_at,
                run.scheduler,
                NULL
            FROM {{ schema }}.reservation_cleanup_runs AS run
            WHERE run.status IN ('succeeded', 'failed')
            ORDER BY run.id DESC
            LIMIT 1
        )
        ORDER BY ordinality NULLS LAST
    LOOP
        IF scheduler IS NULL THEN
            scheduler := v_last.scheduler;
            last_run_failed := v_last.status = 'failed';
            IF v_last.start_time IS NOT NULL AND v_last.end_time IS NOT NULL THEN
                last_run_duration_seconds := GREATEST(
                    extract(EPOCH FROM v_last.end_time - v_last.start_time)::double precision, 0
                );
            END IF;
        END IF;
        -- A run that pg_cron could not start has failed, and has no times.
        v_last_start_time := COALESCE(v_last_start_time, v_last.start_time);
        EXIT WHEN v_last_start_time IS NOT NULL;
    END LOOP;
    scheduler := COALESCE(scheduler, 'none');
    last_run_failed := COALESCE(last_run_failed, false);
    has_run := v_last_start_time IS NOT NULL;
    IF has_run THEN
        last_run_age_seconds := GREATEST(
            extract(EPOCH FROM now() - v_last_start_time)::double precision, 0
        );
    END IF;

    is_scheduled := false;
    IF {{ internal_schema }}.can_use_pg_cron() THEN
        EXECUTE
        $query$
        SELECT count(*) > 0
        FROM cron.job
        WHERE
            job.jobname = $1
            AND job.database = current_database()
            AND job.active
        $query$
        INTO is_scheduled
        USING {{ cleanup_job }};
    END IF;
    IF is_scheduled THEN
        scheduler := 'pg_cron';
        -- Every role sees application_name, but not backend_type.
        scheduler_alive := pg_is_in_recovery() OR EXISTS (
            SELECT
            FROM pg_stat_activity AS activity
            WHERE activity.application_name LIKE 'pg_cron%'
        );
    ELSE
        -- All that can be seen of a scheduler elsewhere is when it last ran the cleanup.
        SELECT last_run_age_seconds <= rule.threshold
        INTO scheduler_alive
        FROM {{ monitoring_schema }}.alert_rules AS rule
        WHERE rule.alert_name = 'cleanup_job_silent';
        scheduler_alive := COALESCE(scheduler_alive, false);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.cleanup_job_state() IS
'When the cleanup last ran and with what result, and whether a scheduler will run it again. Used '
'by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_job_state() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/cleanup_job_problem.sql sha256=c741fe122182f5e38f7f6a481650d9df7752c02dc8664d57c8d641c3e2e2d5d2
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

-- object: monitoring/connections_by_state.sql sha256=2dd7daa4fc713a932575b5650878b493142495830d7e72d892bede8ac7ef86ea
-- Used by connection_pool. Only members of pg_read_all_stats see the state of other roles'
-- connections: the owner of this function may be one, roles that monitor are not.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.connections_by_state()
RETURNS TABLE (state text, connections bigint)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 6
AS $body$
SELECT
    states.state,
    count(activity.pid)
FROM (
    VALUES
    ('active'), ('idle'), ('idle in transaction'), ('idle in transaction (aborted)'),
    ('other'), ('not visible')
) AS states (state)
LEFT JOIN (
    SELECT
        backend.pid,
        CASE
            WHEN backend.state IS NULL THEN 'not visible'
            WHEN backend.state IN ('fastpath function call', 'disabled') THEN 'other'
            ELSE backend.state
        END AS state
    FROM pg_stat_activity AS backend
    WHERE
        -- Background processes have no user, or are not client backends.
        backend.usesysid IS NOT NULL
        AND COALESCE(backend.backend_type, 'client backend') = 'client backend'
) AS activity ON activity.state = states.state
GROUP BY states.state;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.connections_by_state() IS
'Connections of clients to this server by state; not visible where the owner of the function may '
'not see it. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.connections_by_state() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/open_transactions.sql sha256=153d1d836614a57fd3dad68fb6d59f366b12a9c49ae065ce8439556544eaa5b3
-- Used by health and lock_waits. Shows no text of any statement, since that may contain personal
-- data. Only members of pg_read_all_stats see what sessions of other roles do: the owner of this
-- function may be one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.open_transactions()
RETURNS TABLE (
    role_name text,
    state text,
    is_here boolean,
    xid_age integer,
    age_seconds double precision,
    idle_seconds double precision
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 10
AS $body$
SELECT
    COALESCE(activity.usename::text, activity.backend_type),
    COALESCE(activity.state, 'active'),
    activity.datname IS NOT DISTINCT FROM current_database(),
    age(activity.backend_xid),
    GREATEST(extract(EPOCH FROM now() - activity.xact_start)::double precision, 0),
    CASE
        WHEN activity.state LIKE 'idle in transaction%'
            THEN GREATEST(
                extract(EPOCH FROM now() - activity.state_change)::double precision, 0
            )
    END
FROM pg_stat_activity AS activity
WHERE
    activity.xact_start IS NOT NULL
    AND activity.pid <> pg_backend_pid()
    -- A parallel worker is part of its leader's transaction.
    AND activity.leader_pid IS NULL
    -- Autovacuum gives way to other sessions, and may take long on a large table.
    AND activity.backend_type IS DISTINCT FROM 'autovacuum worker'
UNION ALL
SELECT
    prepared.owner::text,
    'prepared',
    prepared.database = current_database(),
    age(prepared.transaction),
    GREATEST(extract(EPOCH FROM now() - prepared.prepared)::double precision, 0),
    NULL
FROM pg_prepared_xacts AS prepared;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.open_transactions() IS
'Open transactions of this server, including prepared ones: role, state, whether in this '
'database, the number of transactions begun since it got its own number (NULL if it has none), '
'and its age and idle time in seconds. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.open_transactions() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/lock_wait_totals.sql sha256=f5d6cc28f0f0dd1f168096e0fe70a9f72787333753b673bbd911269146093b01
-- Used by lock_waits. pg_locks shows to every role which sessions wait for a lock and since when,
-- also where pg_stat_activity does not.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_wait_totals(
    OUT waiting_sessions bigint,
    OUT longest_wait_seconds double precision
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    count(DISTINCT wanted.pid),
    -- waitstart is NULL for a moment after the wait has begun.
    COALESCE(
        max(GREATEST(extract(EPOCH FROM now() - wanted.waitstart)::double precision, 0)), 0
    )
FROM pg_locks AS wanted
-- The database is that of the session: waiting for a locked row is waiting for a transaction, which
-- belongs to no database.
INNER JOIN pg_stat_activity AS activity ON activity.pid = wanted.pid
WHERE
    NOT wanted.granted
    AND activity.datname = current_database();
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_wait_totals() IS
'Sessions of this database that wait for a lock: their number, and the longest wait in seconds. '
'Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.lock_wait_totals() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/due_refunds.sql sha256=1576ca912b78eb86ce0efe01a19b799a579850b47ed0e0676599557e2642dffd
-- Used by refunds_due. A function, so that due refunds are found by their index, whatever the
-- statistics.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.due_refunds()
RETURNS TABLE (
    reason text,
    currency text,
    refunds bigint,
    amount_in_cents bigint,
    oldest_age_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
ROWS 10
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        refund.reason,
        refund.currency,
        count(*),
        sum(refund.amount_in_cents)::bigint,
        GREATEST(extract(EPOCH FROM now() - min(refund.created_at))::double precision, 0)
    FROM {{ schema }}.refunds AS refund
    WHERE refund.status = 'due'
    GROUP BY
        refund.reason,
        refund.currency;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.due_refunds() IS
'Refunds that are due, by reason and currency: their number, their sum in the minor unit, and the '
'seconds for which the oldest has been due. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.due_refunds() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/partial_refunds.sql sha256=7374a003b6d4904ab62dbffb6d323c960063676acf4457503bc10c346b57f140
-- Used by revenue_today: refunds on orders that are still paid. The rollup has orders by status and
-- amount only; these few are found by an index of their own.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.partial_refunds(p_since timestamptz)
RETURNS TABLE (
    ordered_at timestamptz,
    currency text,
    refunded_in_cents bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
ROWS 10
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        paid.created_at,
        paid.currency,
        paid.refunded_amount_in_cents
    FROM {{ schema }}.ticket_orders AS paid
    WHERE
        paid.status = 'paid'
        AND paid.refunded_amount_in_cents > 0
        AND paid.created_at >= p_since;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.partial_refunds(timestamptz) IS
'Paid orders since p_since with refunded tickets: when they were created, and how much of them '
'was refunded, in the minor unit. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.partial_refunds(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: monitoring/rollup_state.sql sha256=7bfc15c094333c987a4e63cb481aaec81e932d85854df320ccd619106340359d
-- Used by health, system_health and alerts. If the rollup runs but an open transaction holds it
-- back, waiting_seconds shows it.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.rollup_state()
RETURNS TABLE (
    log text,
    is_restored boolean,
    age_seconds double precision,
    waiting_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET jit = off
ROWS 3
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
BEGIN
    FOR v_mark IN SELECT mark.* FROM {{ internal_schema }}.metric_watermarks AS mark LOOP
        log := v_mark.log;
        is_restored := {{ internal_schema }}.is_restored_log(log);
        age_seconds := GREATEST(
            extract(EPOCH FROM now() - v_mark.rolled_up_at)::double precision, 0
        );
        EXECUTE format(
            'SELECT extract(EPOCH FROM now() - $3)::double precision '
            'FROM %I.%I AS event WHERE event.xact_id >= $1 AND event.id > $2 '
            'ORDER BY event.xact_id LIMIT 1',
            {{ schema | literal }}, log
        )
        INTO waiting_seconds
        USING v_mark.watermark, v_mark.restored_id, v_mark.advanced_at;
        waiting_seconds := GREATEST(waiting_seconds, 0);
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.rollup_state() IS
'For each log: whether it was restored from another server and not rolled up since, seconds since '
'the rollup last ran, and seconds for which rows have waited for the watermark to advance (0 if '
'no row waits). Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.rollup_state() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/log_partitions.sql sha256=a7810e613822465a9b2672582a8ec02f16b4f94aafae96fc0bcb5047216d81cc
-- Used by the view health, whose readers have no access to the partitions.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_partitions()
RETURNS TABLE (
    log text,
    ends_at timestamptz,
    has_strays boolean,
    oldest_ends_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Bounds of partitions are printed and parsed with these settings.
SET datestyle = 'ISO'
SET timezone = 'UTC'
ROWS 4
AS $body$
DECLARE
    v_log record;
BEGIN
    FOR v_log IN SELECT logs.* FROM {{ internal_schema }}.partitioned_logs() AS logs LOOP
        log := v_log.name;
        SELECT
            COALESCE(max(upper_bound.value::timestamptz), 'epoch'),
            min(upper_bound.value::timestamptz)
        INTO
            ends_at,
            oldest_ends_at
        FROM pg_inherits AS link
        INNER JOIN pg_class AS child ON child.oid = link.inhrelid
        CROSS JOIN LATERAL substring(
            pg_get_expr(child.relpartbound, child.oid) FROM 'TO [(]''([^'']+)''[)]'
        ) AS upper_bound (value)
        WHERE link.inhparent = v_log.relation;

        -- Without rows beyond the horizon, which come from a wrong clock: no partition is made for
        -- them.
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I AS event WHERE event.created_at < $1)',
            {{ internal_schema | literal }}, log || '_default'
        )
        INTO has_strays
        USING {{ internal_schema }}.log_horizon();
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_partitions() IS
'For each log: the end of its last partition, whether its default partition has rows that '
'maintain_partitions() would move, and the end of its oldest partition. Used by the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.log_partitions() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/maintenance_backlog.sql sha256=66854355de1b350830ba914203f72be841b6b758444ef2b5c1049354672c7cc6
-- Used by the view health and the alert maintenance_behind: work that the jobs gave up because of a
-- lock, or did not begin.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.maintenance_backlog()
RETURNS TABLE (task text, behind_seconds double precision)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Bounds of partitions are printed and parsed with these settings. Months are counted in UTC.
SET datestyle = 'ISO'
SET timezone = 'UTC'
SET enable_seqscan = off
ROWS 8
AS $body$
DECLARE
    v_settings {{ schema }}.ticketing_settings;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;
    RETURN QUERY
    WITH logs AS MATERIALIZED (
        SELECT log.*
        FROM {{ internal_schema }}.log_partitions() AS log
    )

    SELECT
        due.task,
        GREATEST(extract(EPOCH FROM now() - due.since), 0)::double precision
    FROM (
        -- The first missing month has been due since it came within the horizon.
        SELECT
            'partitions of ' || log.log AS task,
            log.ends_at - age({{ internal_schema }}.log_horizon(), date_trunc('month', now()))
            + interval '1 month' AS since
        FROM logs AS log
        UNION ALL
        SELECT
            'purge of ' || log.log AS task,
            log.oldest_ends_at
            + make_interval(hours => 24 * v_settings.audit_retention_days) AS since
        FROM logs AS log
        UNION ALL
        SELECT
            'personal data' AS task,
            LEAST(
                (
                    SELECT min(hold.ended_at)
                    FROM {{ schema }}.seat_reservations AS hold
                    WHERE
                        hold.ended_at IS NOT NULL
                        AND (
                            hold.user_id IS NOT NULL
                            OR hold.email IS NOT NULL
                            OR hold.user_agent IS NOT NULL
                            OR hold.ip_address IS NOT NULL
                        )
                ),
                (
                    SELECT min(failed.created_at)
                    FROM {{ schema }}.ticket_orders AS failed
                    WHERE failed.error_message IS NOT NULL
                )
            ) + make_interval(hours => 24 * v_settings.personal_data_retention_days) AS since
    ) AS due;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.maintenance_backlog() IS
'Tasks of maintain_partitions() and purge_history(), and the seconds for which each has been due; '
'0 if nothing is due. Used by the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.maintenance_backlog() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/reservation_success_rate.sql sha256=589a8d294da75d4aa896537a66d0019a39cf64f34bf66a7d2bfe267f336f215b
-- Metric 1 of the operations guide, as a rate of attempts to reserve: sales, which the guide's
-- query counts too, are not attempts, nor are refused extensions and releases. As the guide's
-- target demands, success_rate_pct leaves out legitimate conflicts.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.reservation_success_rate AS
SELECT
    total.time_window,
    total.created + total.failed_attempts AS total_attempts,
    total.created AS succeeded,
    total.race_conditions,
    total.failed_attempts - total.race_conditions AS system_errors,
    100.0::double precision * total.created
    / NULLIF(total.created + total.failed_attempts - total.race_conditions, 0) AS success_rate_pct,
    100.0::double precision * total.created
    / NULLIF(total.created + total.failed_attempts, 0) AS raw_success_rate_pct
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.created), 0)::bigint AS created,
        COALESCE(sum(metric.failed_attempts), 0)::bigint AS failed_attempts,
        COALESCE(sum(metric.race_conditions), 0)::bigint AS race_conditions
    FROM (
        SELECT
            named.time_window,
            {{ internal_schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('1h', interval '1 hour'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('24 hours'))
            AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_success_rate IS
'Attempts to reserve seats and their success, by window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.time_window IS
'Length of the window up to now: 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.total_attempts IS
'Holds created, and refused attempts to reserve.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.succeeded IS 'Holds created.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.race_conditions IS
'Attempts refused because of another customer: the seats were taken, or locked.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.system_errors IS
'Attempts refused for other reasons.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.success_rate_pct IS
'Holds created, in percent of the attempts without race conditions; NULL without attempts.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.raw_success_rate_pct IS
'Holds created, in percent of all attempts; NULL without attempts.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_success_rate TO {{ monitor_role }};
{% endif %}

-- object: monitoring/double_booking_attempts.sql sha256=d849ea8491cc64724e20ec0839c67234cc455f430d7c522abab3b56bc3288f7e
-- Metric 2 of the operations guide. The functions check first, so that the constraint should never
-- be violated.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.double_booking_attempts AS
SELECT
    windows.time_window,
    COALESCE(sum(metric.constraint_violations), 0)::bigint AS attempts
FROM (
    SELECT
        named.time_window,
        {{ internal_schema }}.window_start(named.length) AS since
    FROM (
        VALUES
        ('5m', interval '5 minutes'),
        ('24h', interval '24 hours')
    ) AS named (time_window, length)
) AS windows
LEFT JOIN
    {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('24 hours'))
        AS metric
    ON metric.minute >= windows.since
GROUP BY windows.time_window;

COMMENT ON VIEW {{ monitoring_schema }}.double_booking_attempts IS
'Double bookings that a constraint of the database prevented.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.time_window IS
'Length of the window up to now: 5m or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.attempts IS
'Calls that violated a constraint of the database; should be 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.double_booking_attempts TO {{ monitor_role }};
{% endif %}

-- object: monitoring/reservation_expiration_rate.sql sha256=80e563fb22fceea9b18fadfd55139db3899bd64bda24817170cf79153a9d9097
-- Metric 3 of the operations guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.reservation_expiration_rate AS
SELECT
    total.time_window,
    total.created AS total_created,
    total.completed AS total_completed,
    total.expired AS total_expired,
    100.0::double precision * total.expired / NULLIF(total.created, 0) AS expiration_rate_pct
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.created), 0)::bigint AS created,
        COALESCE(sum(metric.completed), 0)::bigint AS completed,
        COALESCE(sum(metric.expired), 0)::bigint AS expired
    FROM (
        SELECT
            named.time_window,
            {{ internal_schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('1h', interval '1 hour'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('24 hours'))
            AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_expiration_rate IS
'Holds created, completed and expired, by window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.time_window IS
'Length of the window up to now: 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_created IS
'Holds created in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_completed IS
'Holds completed in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_expired IS
'Holds expired in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.expiration_rate_pct IS
'Holds expired, in percent of those created; NULL if none was created. May exceed 100: holds may '
'expire in a later window than they were created in.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_expiration_rate TO {{ monitor_role }};
{% endif %}

-- object: monitoring/reservation_hold_time.sql sha256=f97aa123d997417cf7e6e2daec4a97948eb16cdcc7dff8f3515eb736d8bcd074
-- Metric 4 of the operations guide. From the duration that is logged when a hold ends, so that
-- holds which began before the window count, too.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.reservation_hold_time AS
SELECT
    total.time_window,
    total.holds_ended,
    total.seconds / NULLIF(total.holds_ended, 0) / 60 AS avg_hold_minutes,
    total.seconds / NULLIF(total.holds_ended, 0) AS avg_hold_seconds
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.holds_ended), 0)::bigint AS holds_ended,
        COALESCE(sum(metric.hold_microseconds), 0)::double precision / 1e6 AS seconds
    FROM (
        SELECT
            named.time_window,
            {{ internal_schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('24 hours'))
            AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_hold_time IS
'Duration of holds until they are completed or expire, by window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.time_window IS
'Length of the window up to now: 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.holds_ended IS
'Holds completed or expired in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.avg_hold_minutes IS
'Average duration of these holds in minutes; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.avg_hold_seconds IS
'Average duration of these holds in seconds; NULL without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_hold_time TO {{ monitor_role }};
{% endif %}

-- object: monitoring/cleanup_job_health.sql sha256=2a8edfcccb2e5a0f56b7de5d6a630c9af4631e54073eca1b3385fab85fe129e1
-- Metric 5 of the operations guide. Ages and durations are NULL if the cleanup never ran.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.cleanup_job_health AS
SELECT
    job.scheduler,
    job.last_run_age_seconds,
    job.last_run_duration_seconds,
    job.last_run_failed::integer::smallint AS last_run_failed,
    job.failed_runs_24h,
    job.runs_24h,
    holds.overdue_holds,
    holds.oldest_overdue_seconds,
    job.is_scheduled::integer::smallint AS is_scheduled,
    job.scheduler_alive::integer::smallint AS scheduler_alive,
    job.has_run::integer::smallint AS has_run,
    job.skipped_runs_24h,
    job.longest_run_seconds
FROM {{ internal_schema }}.cleanup_job_state() AS job
CROSS JOIN {{ internal_schema }}.overdue_hold_totals() AS holds;

COMMENT ON VIEW {{ monitoring_schema }}.cleanup_job_health IS
'State of the cleanup of overdue holds: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler IS
'What runs the cleanup: pg_cron if it is scheduled there, otherwise what ran it last; none if it '
'never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_age_seconds IS
'Seconds since the last finished run of the cleanup began; NULL if it never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_duration_seconds IS
'Duration of the last finished run of the cleanup, in seconds; NULL if it never ran, or pg_cron '
'could not start it.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_failed IS
'1 if the last finished run of the cleanup failed, or pg_cron could not start it, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.failed_runs_24h IS
'Failed runs of the last 24 hours, including those that pg_cron could not start.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.runs_24h IS
'Runs that finished in the last 24 hours, without skipped ones.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.overdue_holds IS
'Overdue holds: their time is over, and nothing has ended them yet.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.oldest_overdue_seconds IS
'Seconds for which the oldest overdue hold has been overdue; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.is_scheduled IS
'1 if pg_cron has the job and it is active, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler_alive IS
'1 if the process of pg_cron is running or, with another scheduler, if the last run is within the '
'threshold of the alert cleanup_job_silent; otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.has_run IS
'1 if the cleanup has ever run, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.skipped_runs_24h IS
'Runs of the last 24 hours that were skipped because another run was in progress.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.longest_run_seconds IS
'Duration of the longest run that finished in the last 24 hours or is in progress, in seconds; 0 '
'without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.cleanup_job_health TO {{ monitor_role }};
{% endif %}

-- object: monitoring/active_reservations.sql sha256=211e5612cbeef7f6b333c0aeb7462ae612300e63665f9c68a6289d15ff194b1a
-- Metric 6 of the operations guide. Overdue holds do not count, whether or not the cleanup has
-- ended them.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.active_reservations AS
SELECT
    totals.active_reservations,
    totals.expiring_soon,
    totals.total_seats_held
FROM {{ internal_schema }}.active_reservation_totals() AS totals;

COMMENT ON VIEW {{ monitoring_schema }}.active_reservations IS 'Live holds on seats: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.active_reservations IS
'Live holds: active, and not overdue.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.expiring_soon IS
'Live holds that will be overdue within 2 minutes.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.total_seats_held IS
'Seats with a claim of a live hold.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.active_reservations TO {{ monitor_role }};
{% endif %}

-- object: monitoring/payment_failures.sql sha256=e0f177b6a47c7b6450a3ccd445f67d80b2c378641b4689c6ae30ca5c5137ed71
-- Metric 7 of the operations guide. Orders count in the minute of their creation by their present
-- status, as in the guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.payment_failures AS
SELECT
    total.time_window,
    total.orders AS total_orders,
    total.failed_orders,
    100.0::double precision * total.failed_orders / NULLIF(total.orders, 0) AS failure_rate_pct
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.orders), 0)::bigint AS orders,
        COALESCE(sum(metric.failed_orders), 0)::bigint AS failed_orders
    FROM (
        SELECT
            named.time_window,
            {{ internal_schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('15m', interval '15 minutes'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN
        {{ internal_schema }}.order_metrics({{ internal_schema }}.window_start('24 hours'))
            AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.payment_failures IS
'Orders and those whose payment failed, by window.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.time_window IS
'Length of the window up to now: 15m or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.total_orders IS
'Orders created in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.failed_orders IS
'Orders created in the window whose present status is failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.failure_rate_pct IS
'Orders whose payment has failed, in percent of all orders; NULL without orders.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.payment_failures TO {{ monitor_role }};
{% endif %}

-- object: monitoring/revenue_today.sql sha256=88479bc4b564c6171520de93a07cfff2550eacef7114be0317b85a9256ea5717
-- Dashboard 1 of the operations guide: revenue by currency, never added up. Every currency of a
-- show has a row; if there is no show, there is one row with the currency none. Today is determined
-- by the date of each minute, since the first instant of a day cannot be computed where clocks are
-- put back at midnight.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.revenue_today AS
WITH RECURSIVE settings AS (
    SELECT max(setting.business_time_zone) AS business_time_zone
    FROM {{ schema }}.ticketing_settings AS setting
),

today AS (
    SELECT
        metric.currency,
        sum(metric.revenue_in_cents)::bigint AS revenue_cents,
        sum(metric.paid_orders)::bigint AS orders_paid,
        sum(metric.tickets)::bigint AS tickets_sold
    FROM settings
    CROSS JOIN
        LATERAL {{ internal_schema }}.order_metrics({{ internal_schema }}.window_start('26 hours'))
            AS metric
    WHERE
        metric.minute < now() + interval '2 days'
        AND (metric.minute AT TIME ZONE settings.business_time_zone)::date
        = (now() AT TIME ZONE settings.business_time_zone)::date
    GROUP BY metric.currency
    -- Leaves out currencies that occur only in refused payments.
    HAVING sum(metric.paid_orders) <> 0 OR sum(metric.tickets) <> 0
),

given_back AS (
    SELECT
        refund.currency,
        sum(refund.refunded_in_cents)::bigint AS refunded_cents
    FROM settings
    CROSS JOIN
        LATERAL {{ internal_schema }}.partial_refunds(
            {{ internal_schema }}.window_start('26 hours')
        )
            AS refund
    WHERE
        refund.ordered_at < now() + interval '2 days'
        AND (refund.ordered_at AT TIME ZONE settings.business_time_zone)::date
        = (now() AT TIME ZONE settings.business_time_zone)::date
    GROUP BY refund.currency
),

-- Steps from one currency to the next in the index, since currencies are few and shows many.
of_shows AS (
    SELECT min(show.currency) AS currency
    FROM {{ schema }}.shows AS show
    UNION ALL
    SELECT
        (
            SELECT min(show.currency)
            FROM {{ schema }}.shows AS show
            WHERE show.currency > of_shows.currency
        )
    FROM of_shows
    WHERE of_shows.currency IS NOT NULL
),

currencies AS (
    SELECT today.currency FROM today
    UNION
    SELECT of_shows.currency
    FROM of_shows
    WHERE of_shows.currency IS NOT NULL
    UNION
    SELECT 'none' AS currency
    WHERE NOT EXISTS (SELECT FROM {{ schema }}.shows)
)

SELECT
    currencies.currency,
    COALESCE(today.revenue_cents, 0) - COALESCE(given_back.refunded_cents, 0) AS revenue_cents,
    COALESCE(today.orders_paid, 0) AS orders_paid,
    COALESCE(today.tickets_sold, 0) AS tickets_sold,
    (COALESCE(today.revenue_cents, 0) - COALESCE(given_back.refunded_cents, 0))
    / power(10::double precision, COALESCE(unit.decimals, 2)) AS revenue
FROM currencies
LEFT JOIN today ON today.currency = currencies.currency
LEFT JOIN given_back ON given_back.currency = currencies.currency
LEFT JOIN {{ schema }}.currencies AS unit ON unit.code = currencies.currency;

COMMENT ON VIEW {{ monitoring_schema }}.revenue_today IS
'Revenue of today by currency. Today begins at midnight in business_time_zone.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.currency IS
'ISO 4217 code; none if there is no show.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue_cents IS
'Total amount of the orders created today that are paid, less refunds for some of their tickets, '
'in the minor unit of the currency: cents of EUR, yen of JPY.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.orders_paid IS
'Number of orders created today that are paid.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.tickets_sold IS
'Tickets issued today, including those refunded since.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue IS
'The same revenue in the major unit: euros of EUR, yen of JPY.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.revenue_today TO {{ monitor_role }};
{% endif %}

-- object: monitoring/realtime_dashboard.sql sha256=f65887cf1edaa3af279bdc8b062ff567cc19794b8935eb7628efe08284ed54e9
-- Dashboard 1 of the operations guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.realtime_dashboard AS
WITH last_hour AS (
    SELECT COALESCE(sum(metric.created), 0)::bigint AS created
    FROM
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('1 hour'))
            AS metric
),

today AS (
    SELECT
        sum(revenue.tickets_sold)::bigint AS tickets_sold,
        -- Amounts in several currencies have no sum.
        CASE
            WHEN count(*) FILTER (WHERE revenue.revenue_cents <> 0) <= 1
                THEN sum(revenue.revenue_cents)::bigint
        END AS revenue_cents
    FROM {{ monitoring_schema }}.revenue_today AS revenue
)

SELECT
    holds.active_reservations,
    last_hour.created AS reservations_last_hour,
    today.tickets_sold AS tickets_sold_today,
    today.revenue_cents AS revenue_today_cents,
    job.last_run_age_seconds AS last_cleanup_age_seconds,
    job.last_run_failed::integer::smallint AS last_cleanup_failed,
    job.last_run_duration_seconds AS last_cleanup_duration_seconds,
    job.has_run::integer::smallint AS cleanup_has_run
FROM {{ internal_schema }}.active_reservation_totals() AS holds
CROSS JOIN {{ internal_schema }}.cleanup_job_state() AS job
CROSS JOIN last_hour
CROSS JOIN today;

COMMENT ON VIEW {{ monitoring_schema }}.realtime_dashboard IS 'Real-time operations: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.active_reservations IS
'Live holds: active, and not overdue.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.reservations_last_hour IS
'Holds created in the last hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.tickets_sold_today IS
'Tickets issued today, including those refunded since.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.revenue_today_cents IS
'Total amount of the orders created today that are paid, less refunds for some of their tickets, '
'in the minor unit of their currency; NULL if there are several currencies: see revenue_today.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_age_seconds IS
'Seconds since the last finished run of the cleanup began; NULL if it never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_failed IS
'1 if the last finished run of the cleanup failed, or pg_cron could not start it, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_duration_seconds IS
'Duration of the last finished run of the cleanup, in seconds; NULL if it never ran, or pg_cron '
'could not start it.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.cleanup_has_run IS
'1 if the cleanup has ever run, otherwise 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.realtime_dashboard TO {{ monitor_role }};
{% endif %}

-- object: monitoring/hourly_metrics.sql sha256=4f5ea19269aaaa45174f29b797aefeba23c6a5a752c8cfefee224e31ed8bc185
-- The last 24 hours in business_time_zone, including the present one; hours without events are rows
-- of zeros. max() shows the planner that there is one row of settings, which it cannot know of a
-- table without statistics.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.hourly_metrics AS
WITH settings AS (
    SELECT max(setting.business_time_zone) AS business_time_zone
    FROM {{ schema }}.ticketing_settings AS setting
),

hours AS (
    SELECT
        date_trunc('hour', now(), settings.business_time_zone)
        - make_interval(hours => n.hours_ago) AS start
    FROM settings
    CROSS JOIN generate_series(0, 23) AS n (hours_ago)
),

totals AS (
    SELECT
        hours.start,
        COALESCE(sum(metric.created), 0)::bigint AS created,
        COALESCE(sum(metric.completed), 0)::bigint AS completed,
        COALESCE(sum(metric.expired), 0)::bigint AS expired,
        COALESCE(sum(metric.failed), 0)::bigint AS failed
    FROM hours
    LEFT JOIN
        {{ internal_schema }}.reservation_metrics({{ internal_schema }}.window_start('25 hours'))
            AS metric
        ON metric.minute >= hours.start AND metric.minute < hours.start + interval '1 hour'
    GROUP BY hours.start
)

SELECT
    totals.start AS time,
    totals.created AS reservations_created,
    totals.completed AS reservations_completed,
    totals.expired AS reservations_expired,
    totals.failed AS reservations_failed,
    100.0::double precision * totals.completed / NULLIF(totals.created, 0) AS completion_rate_pct
FROM totals
ORDER BY totals.start;

COMMENT ON VIEW {{ monitoring_schema }}.hourly_metrics IS
'Events of holds by hour, for 24 hours: always 24 rows, oldest first.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.time IS 'Start of the hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_created IS 'Holds created.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_completed IS
'Holds completed.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_expired IS 'Holds expired.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_failed IS 'Refused calls.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.completion_rate_pct IS
'Holds completed, in percent of those created; NULL if none was created.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.hourly_metrics TO {{ monitor_role }};
{% endif %}

-- object: monitoring/top_errors.sql sha256=0533d173bba284fbc95e7d5cdc01ff5b18095a6d00ed202fb8d7af821a2177ca
-- The ten most frequent reasons why calls are refused. Without any there is a row (none), since
-- panels and alerts take an empty result for missing data.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.top_errors AS
SELECT
    COALESCE(error.error_message, '(none)') AS error_message,
    COALESCE(error.occurrences, 0) AS occurrences,
    GREATEST(
        extract(EPOCH FROM now() - error.last_seen_at)::double precision, 0
    ) AS last_seen_age_seconds
FROM (VALUES (1)) AS always (is_there) -- noqa: ST11
LEFT JOIN
    {{ internal_schema }}.error_metrics({{ internal_schema }}.window_start('24 hours'), 10) AS error
    ON true
ORDER BY
    error.occurrences DESC,
    error.last_seen_at DESC,
    error.error_message ASC;

COMMENT ON VIEW {{ monitoring_schema }}.top_errors IS
'The ten most frequent error messages of the last 24 hours.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.error_message IS
'Error message; (no message) where the log has none, (none) if there was no error.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.occurrences IS
'Number of refused calls with this message.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.last_seen_age_seconds IS
'Seconds since the latest of them; 0 if it is in the future.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.top_errors TO {{ monitor_role }};
{% endif %}

-- object: monitoring/extension_trends.sql sha256=12b153de851aaec3805e328db98cba3b7140924c19d264de61d1fc0780fcbcbd
-- For the daily review: whole days in business_time_zone, today and the six before.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.extension_trends AS
SELECT
    -- Where the clock is put back at midnight, midnight occurs twice: the first one counts.
    CASE
        WHEN ((midnight.at - interval '1 hour') AT TIME ZONE midnight.zone)::date = midnight.day
            THEN midnight.at - interval '1 hour'
        ELSE midnight.at
    END AS time,
    midnight.extensions,
    midnight.unique_reservations
FROM (
    SELECT
        metric.*,
        settings.business_time_zone AS zone,
        metric.day::timestamp AT TIME ZONE settings.business_time_zone AS at
    FROM {{ internal_schema }}.extension_metrics(7) AS metric
    CROSS JOIN {{ schema }}.ticketing_settings AS settings
) AS midnight
ORDER BY midnight.at;

COMMENT ON VIEW {{ monitoring_schema }}.extension_trends IS
'Extensions of holds by day, for 7 days: always 7 rows, oldest first.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.time IS
'Start of the day in business_time_zone.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.extensions IS 'Number of extensions.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.unique_reservations IS
'Number of different reservations extended.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.extension_trends TO {{ monitor_role }};
{% endif %}

-- object: monitoring/quality_dashboard.sql sha256=d789a8e4a1cd1e67d41c2886494a510a175f431e9b5bc18a9eab354f1330b8e6
-- Dashboard 2 of the operations guide: quality metrics, from the views of the metrics.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.quality_dashboard AS
SELECT
    success.success_rate_pct,
    success.raw_success_rate_pct,
    double_booking.attempts AS double_booking_attempts,
    expiration.expiration_rate_pct,
    hold_time.holds_ended,
    hold_time.avg_hold_seconds,
    payment.failure_rate_pct AS payment_failure_rate_pct
FROM {{ monitoring_schema }}.reservation_success_rate AS success
CROSS JOIN {{ monitoring_schema }}.double_booking_attempts AS double_booking
CROSS JOIN {{ monitoring_schema }}.reservation_expiration_rate AS expiration
CROSS JOIN {{ monitoring_schema }}.reservation_hold_time AS hold_time
CROSS JOIN {{ monitoring_schema }}.payment_failures AS payment
WHERE
    success.time_window = '24h'
    AND double_booking.time_window = '24h'
    AND expiration.time_window = '24h'
    AND hold_time.time_window = '24h'
    AND payment.time_window = '24h';

COMMENT ON VIEW {{ monitoring_schema }}.quality_dashboard IS
'Quality metrics of the last 24 hours: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.success_rate_pct IS
'Holds created, in percent of the attempts without race conditions; NULL without attempts.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.raw_success_rate_pct IS
'Holds created, in percent of all attempts; NULL without attempts.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.double_booking_attempts IS
'Calls that violated a constraint of the database; should be 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.expiration_rate_pct IS
'Holds expired, in percent of those created; NULL if none was created.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.holds_ended IS
'Holds completed or expired.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.avg_hold_seconds IS
'Average duration of these holds in seconds; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.payment_failure_rate_pct IS
'Orders whose payment has failed, in percent of all orders; NULL without orders.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.quality_dashboard TO {{ monitor_role }};
{% endif %}

-- object: monitoring/connection_pool.sql sha256=8b70e6047f70df76892768037286a8f64dadbd5bf79cec545ef3c4550e755475
-- Dashboard 3 of the operations guide: connections of clients to the server, with a row for every
-- state.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.connection_pool AS
WITH server AS (
    SELECT current_setting('max_connections')::bigint AS max_connections
)

SELECT
    pool.state,
    pool.connections,
    server.max_connections,
    100.0::double precision * pool.connections / server.max_connections AS used_pct
FROM {{ internal_schema }}.connections_by_state() AS pool
CROSS JOIN server;

COMMENT ON VIEW {{ monitoring_schema }}.connection_pool IS
'Connections of clients to the server, by state.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.state IS
'active, idle, idle in transaction, idle in transaction (aborted), other, or not visible, if the '
'owner of ticketdb lacks pg_read_all_stats.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.connections IS
'Number of connections in this state.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.max_connections IS
'Number of connections that the server accepts.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.used_pct IS
'Connections in this state, in percent of max_connections.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.connection_pool TO {{ monitor_role }};
{% endif %}

-- object: monitoring/lock_waits.sql sha256=23b7bf19651002da94385ec3f87712a3cea2ab416edb5a6a65155bf865163dbc
-- Sessions that wait for locks, and transactions that others may have to wait for, in this
-- database.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.lock_waits AS
WITH transactions AS (
    SELECT
        count(*) AS open_transactions,
        COALESCE(max(transaction.age_seconds), 0) AS oldest_transaction_seconds,
        count(transaction.idle_seconds) AS idle_in_transaction,
        COALESCE(max(transaction.idle_seconds), 0) AS longest_idle_seconds,
        count(*) FILTER (WHERE transaction.state = 'prepared') AS prepared_transactions,
        COALESCE(
            max(transaction.age_seconds) FILTER (WHERE transaction.state = 'prepared'), 0
        ) AS oldest_prepared_seconds
    FROM {{ internal_schema }}.open_transactions() AS transaction
    WHERE transaction.is_here
)

SELECT
    locks.waiting_sessions,
    locks.longest_wait_seconds,
    transactions.open_transactions,
    transactions.oldest_transaction_seconds,
    transactions.idle_in_transaction,
    transactions.longest_idle_seconds,
    transactions.prepared_transactions,
    transactions.oldest_prepared_seconds
FROM {{ internal_schema }}.lock_wait_totals() AS locks
CROSS JOIN transactions;

COMMENT ON VIEW {{ monitoring_schema }}.lock_waits IS
'Lock waits and open transactions of this database: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.waiting_sessions IS
'Sessions that wait for a lock.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_wait_seconds IS
'Longest of these waits in seconds; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.open_transactions IS
'Open transactions, including prepared ones, without those of this session and of autovacuum. '
'Those of other roles are included only if the owner of ticketdb has pg_read_all_stats.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_transaction_seconds IS
'Age of the oldest open transaction in seconds; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.idle_in_transaction IS
'Open transactions whose session is idle.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_idle_seconds IS
'Longest time for which one of these has been idle, in seconds; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.prepared_transactions IS
'Prepared transactions, which stay open until COMMIT PREPARED or ROLLBACK PREPARED: no session '
'will end them.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_prepared_seconds IS
'Age of the oldest prepared transaction in seconds; 0 without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.lock_waits TO {{ monitor_role }};
{% endif %}

-- object: monitoring/refunds_due.sql sha256=f3653d2e07a6e9a3b742f56077f13e7fbaee060c135db765dcc7287fa84b8f68
-- Money that bought no tickets, or whose tickets were taken back, and that has not been paid back
-- yet. Currencies are never added up. If nothing is due, there is one row with the reason none.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.refunds_due AS
SELECT
    COALESCE(due.reason, 'none') AS reason,
    COALESCE(due.currency, 'none') AS currency,
    COALESCE(due.refunds, 0) AS refunds,
    COALESCE(
        due.amount_in_cents / power(10::double precision, COALESCE(currency.decimals, 2)), 0
    ) AS amount,
    COALESCE(due.oldest_age_seconds, 0) AS oldest_age_seconds
FROM (VALUES (1)) AS always (is_there) -- noqa: ST11
LEFT JOIN {{ internal_schema }}.due_refunds() AS due ON true
LEFT JOIN {{ schema }}.currencies AS currency ON currency.code = due.currency;

COMMENT ON VIEW {{ monitoring_schema }}.refunds_due IS
'Refunds that are due, by reason and currency.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.reason IS
'Reason, as in refunds; none if nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.currency IS
'ISO 4217 code; none if nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.refunds IS 'Number of refunds due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.amount IS
'Sum of the refunds due, in the major unit: euros of EUR, yen of JPY.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.oldest_age_seconds IS
'Seconds for which the oldest has been due; 0 if nothing is due.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.refunds_due TO {{ monitor_role }};
{% endif %}

-- object: monitoring/api_endpoint_health.sql sha256=831122aa90fdbc2d36e57adf335a9a37f2b1325bd1c18cfdeb9de60b61eeb425
-- Dashboard 3 of the operations guide: requests to the endpoints of the shop. Percentiles come from
-- logarithmic buckets, and are within two percent of the request at that rank. The busiest
-- endpoints have a row each, and all others one together.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.api_endpoint_health AS
WITH metrics AS MATERIALIZED (
    SELECT metric.*
    FROM {{ internal_schema }}.api_metrics({{ internal_schema }}.window_start('1 hour')) AS metric
),

labels AS MATERIALIZED (
    SELECT
        placed.endpoint,
        CASE
            WHEN placed.place <= {{ internal_schema }}.endpoint_limit() THEN placed.endpoint
            ELSE 'other'
        END AS label
    FROM (
        SELECT
            metrics.endpoint,
            row_number() OVER (
                ORDER BY
                    metrics.endpoint = 'other',
                    metrics.requests DESC,
                    metrics.endpoint COLLATE "C" ASC -- noqa: RF03
            ) AS place
        FROM metrics
    ) AS placed
),

ranked AS (
    SELECT
        bucket.endpoint,
        -- The value in the bucket whose relative distance from both ends is the same.
        2 / (1 + growth.factor) * power(growth.factor, bucket.duration_bucket) AS milliseconds,
        sum(bucket.requests) OVER by_duration AS requests_up_to,
        sum(bucket.requests) OVER (PARTITION BY bucket.endpoint) AS requests_in_all
    FROM (
        SELECT
            labels.label AS endpoint,
            metric.duration_bucket,
            sum(metric.requests) AS requests
        FROM
            {{ internal_schema }}.api_durations({{ internal_schema }}.window_start('1 hour'))
                AS metric
        INNER JOIN labels ON labels.endpoint = metric.endpoint
        GROUP BY
            labels.label,
            metric.duration_bucket
    ) AS bucket
    CROSS JOIN {{ internal_schema }}.duration_bucket_growth() AS growth (factor)
    WINDOW by_duration AS (PARTITION BY bucket.endpoint ORDER BY bucket.duration_bucket)
),

percentiles AS (
    SELECT
        ranked.endpoint,
        min(ranked.milliseconds) FILTER (
            WHERE ranked.requests_up_to >= 0.50 * ranked.requests_in_all
        ) AS p50,
        min(ranked.milliseconds) FILTER (
            WHERE ranked.requests_up_to >= 0.95 * ranked.requests_in_all
        ) AS p95,
        min(ranked.milliseconds) FILTER (
            WHERE ranked.requests_up_to >= 0.99 * ranked.requests_in_all
        ) AS p99
    FROM ranked
    GROUP BY ranked.endpoint
),

endpoints AS (
    SELECT
        labels.label AS endpoint,
        sum(metrics.requests)::bigint AS requests,
        sum(metrics.errors)::bigint AS errors,
        sum(metrics.duration_microseconds)::double precision / 1000 AS milliseconds
    FROM metrics
    INNER JOIN labels ON labels.endpoint = metrics.endpoint
    GROUP BY labels.label
),

listed AS (
    SELECT endpoints.*
    FROM endpoints
    UNION ALL
    SELECT
        '(none)' AS endpoint,
        0 AS requests,
        0 AS errors,
        NULL AS milliseconds
    WHERE NOT EXISTS (SELECT FROM endpoints)
)

SELECT
    listed.endpoint,
    listed.requests,
    listed.errors,
    100.0::double precision * listed.errors / NULLIF(listed.requests, 0) AS error_rate_pct,
    listed.milliseconds / NULLIF(listed.requests, 0) AS avg_milliseconds,
    percentiles.p50 AS p50_milliseconds,
    percentiles.p95 AS p95_milliseconds,
    percentiles.p99 AS p99_milliseconds
FROM listed
LEFT JOIN percentiles ON percentiles.endpoint = listed.endpoint;

COMMENT ON VIEW {{ monitoring_schema }}.api_endpoint_health IS
'Requests to the endpoints of the shop in the last hour: a row for each of the busiest, and one '
'for all others.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.endpoint IS
'Route, as given to log_api_request(); other for those beyond the endpoint_limit() busiest; '
'(none) if there was no request.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.requests IS 'Number of requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.errors IS
'Number of requests answered with a status of 500 or above.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.error_rate_pct IS
'Requests answered with a status of 500 or above, in percent; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.avg_milliseconds IS
'Average duration in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p50_milliseconds IS
'Median of the durations in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p95_milliseconds IS
'95th percentile of the durations in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p99_milliseconds IS
'99th percentile of the durations in milliseconds; NULL without requests.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.api_endpoint_health TO {{ monitor_role }};
{% endif %}

-- object: monitoring/system_health.sql sha256=31553f63d147a7b7351ff90d1fe5aed09b280e93bcfa21205d10f48174296d58
-- Dashboard 3 of the operations guide.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.system_health AS
WITH pool AS (
    SELECT
        sum(by_state.connections)::bigint AS connections,
        min(by_state.max_connections) AS max_connections,
        sum(by_state.used_pct) AS used_pct
    FROM {{ monitoring_schema }}.connection_pool AS by_state
),

api AS (
    SELECT
        COALESCE(sum(metric.requests), 0)::bigint AS requests,
        COALESCE(sum(metric.errors), 0)::bigint AS errors,
        sum(metric.duration_microseconds)::double precision / 1000 AS milliseconds
    FROM {{ internal_schema }}.api_metrics({{ internal_schema }}.window_start('1 hour')) AS metric
),

rollup AS (
    SELECT max(mark.age_seconds) AS age_seconds
    FROM {{ internal_schema }}.rollup_state() AS mark
)

SELECT
    job.last_run_age_seconds AS last_cleanup_age_seconds,
    job.last_run_failed::integer::smallint AS last_cleanup_failed,
    job.last_run_duration_seconds AS last_cleanup_duration_seconds,
    job.scheduler_alive::integer::smallint AS scheduler_alive,
    holds.overdue_holds,
    pool.connections,
    pool.max_connections,
    pool.used_pct AS connections_used_pct,
    api.requests AS requests_last_hour,
    100.0::double precision * api.errors / NULLIF(api.requests, 0) AS error_rate_pct,
    api.milliseconds / NULLIF(api.requests, 0) AS avg_milliseconds,
    rollup.age_seconds AS rollup_age_seconds,
    job.has_run::integer::smallint AS cleanup_has_run
FROM {{ internal_schema }}.cleanup_job_state() AS job
CROSS JOIN {{ internal_schema }}.overdue_hold_totals() AS holds
CROSS JOIN pool
CROSS JOIN api
CROSS JOIN rollup;

COMMENT ON VIEW {{ monitoring_schema }}.system_health IS
'State of the system: cleanup, connections, requests and rollup, in one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_age_seconds IS
'Seconds since the last finished run of the cleanup began; NULL if it never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_failed IS
'1 if the last finished run of the cleanup failed, or pg_cron could not start it, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_duration_seconds IS
'Duration of the last finished run of the cleanup, in seconds; NULL if it never ran, or pg_cron '
'could not start it.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.scheduler_alive IS
'1 if whatever runs the cleanup is alive, as in cleanup_job_health; otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.overdue_holds IS
'Overdue holds: their time is over, and nothing has ended them yet.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.connections IS
'Connections of clients to the server.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.max_connections IS
'Number of connections that the server accepts.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.connections_used_pct IS
'Connections of clients, in percent of max_connections.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.requests_last_hour IS
'Requests to the endpoints of the shop in the last hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.error_rate_pct IS
'Requests answered with a status of 500 or above, in percent; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.avg_milliseconds IS
'Average duration of requests in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.rollup_age_seconds IS
'Seconds since the logs were last rolled up; the longest of all logs.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.cleanup_has_run IS
'1 if the cleanup has ever run, otherwise 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.system_health TO {{ monitor_role }};
{% endif %}

-- object: monitoring/alert_rules.sql sha256=5eaa006c9999bd94b9276a128d9e9d6085704b9a62e0a99bfe191948a646d029
-- When an alert fires. A DBA changes thresholds with UPDATE, and the view alerts follows at once.
-- That view also defines, by the name of a rule, which value is compared with the threshold.
CREATE TABLE {{ monitoring_schema }}.alert_rules (
    alert_name text NOT NULL,
    severity text NOT NULL,
    comparison text NOT NULL DEFAULT '>',
    threshold double precision NOT NULL,
    unit text NOT NULL DEFAULT '',
    time_window_seconds bigint NOT NULL DEFAULT 0,
    minimum_events bigint NOT NULL DEFAULT 1,
    enabled boolean NOT NULL DEFAULT true,
    summary text NOT NULL,
    action text NOT NULL,
    runbook text NOT NULL,
    CONSTRAINT alert_rules_pkey PRIMARY KEY (alert_name),
    CONSTRAINT alert_rules_severity_check CHECK (severity IN ('critical', 'warning', 'info')),
    CONSTRAINT alert_rules_comparison_check CHECK (comparison IN ('>', '<')),
    -- In the notation of Nagios plugins.
    CONSTRAINT alert_rules_unit_check CHECK (unit IN ('', 's', '%')),
    CONSTRAINT alert_rules_threshold_check
    CHECK (threshold > '-Infinity' AND threshold < 'Infinity'),
    -- Every minute of the window is read from the rollups, and no dashboard looks back further than
    -- a week.
    CONSTRAINT alert_rules_time_window_seconds_check
    CHECK (time_window_seconds BETWEEN 0 AND 604800),
    CONSTRAINT alert_rules_minimum_events_check CHECK (minimum_events >= 0)
);

INSERT INTO {{ monitoring_schema }}.alert_rules (
    alert_name, severity, comparison, threshold, unit, time_window_seconds, summary, action,
    runbook
)
VALUES
(
    'constraint_violation', 'critical', '>', 0, '', 300,
    'A constraint of the database prevented a double booking.',
    'Investigate immediately: application logic should prevent this.',
    'docs/runbooks/double-booking.md'
),
(
    'cleanup_job_failed', 'critical', '>', 900, 's', 0,
    'The cleanup of overdue holds failed, or has not run for this many seconds.',
    'Check the log of the database; run the cleanup by hand if needed.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'payment_processing_down', 'critical', '>', 20, '%', 900,
    'Orders whose payment failed, in percent of all orders of the last minutes.',
    'Check the status of the payment provider and the API keys.',
    'docs/runbooks/payment-failures.md'
),
(
    'high_expiration_rate', 'warning', '>', 70, '%', 3600,
    'Reservations expired without a purchase, in percent of those created in the last hour.',
    'Review the checkout, and check for errors in it.',
    'docs/runbooks/high-expiration-rate.md'
),
(
    'low_success_rate', 'warning', '<', 90, '%', 3600,
    'Attempts to reserve that succeeded, in percent, not counting legitimate conflicts.',
    'Review the error messages for systematic problems.',
    'docs/runbooks/high-reservation-failure-rate.md'
),
(
    'double_booking_attempts', 'warning', '>', 0, '', 86400,
    'A constraint of the database prevented double bookings in the last day.',
    'Find the cause: application logic should prevent this.',
    'docs/runbooks/double-booking.md'
),
(
    'high_expiration_rate_24h', 'warning', '>', 80, '%', 86400,
    'Reservations expired without a purchase, in percent of those created in the last day.',
    'Review the checkout.',
    'docs/runbooks/high-expiration-rate.md'
),
(
    'long_hold_time', 'warning', '>', 900, 's', 86400,
    'Average seconds from a reservation to its completion or expiry.',
    'Review how long customers need to check out.',
    'docs/runbooks/long-hold-time.md'
),
(
    'cleanup_job_silent', 'warning', '>', 600, 's', 0,
    'The cleanup of overdue holds has not run for this many seconds.',
    'Check its scheduler.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_runs_failed', 'warning', '>', 0, '', 86400,
    'Number of runs of the cleanup that failed in the last day.',
    'Read the error messages in reservation_cleanup_job_status.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_job_slow', 'warning', '>', 30, 's', 3600,
    'A run of the cleanup took this many seconds.',
    'Check what it waited for, and whether many holds were overdue.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'many_active_reservations', 'warning', '>', 1000, '', 0,
    'Seats are being held by this many customers at once.',
    'Check that there is capacity for this load.',
    'docs/runbooks/many-active-reservations.md'
),
(
    'payment_failure_rate_24h', 'warning', '>', 5, '%', 86400,
    'Orders whose payment failed, in percent of all orders of the last day.',
    'Review declined payments with the provider.',
    'docs/runbooks/payment-failures.md'
),
(
    'extension_rate', 'info', '>', 50, '', 86400,
    'Extensions per hundred reservations created in the last day.',
    'Consider longer holds, or a shorter checkout.',
    'docs/runbooks/extension-rate.md'
),
(
    'overdue_holds', 'critical', '>', 300, 's', 0,
    'A hold has been overdue for this many seconds, even if runs of the cleanup succeed.',
    'Run the cleanup by hand, and find out why it does not end these holds.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'no_payments', 'critical', '>', 1800, 's', 3600,
    'Orders were placed, but no payment, not even a failed one, for this many seconds.',
    'Check whether events of the payment provider reach the application.',
    'docs/runbooks/payment-failures.md'
),
(
    'refunds_overdue', 'warning', '>', 86400, 's', 0,
    'A refund has been due for this many seconds.',
    'Pay the money back, and record that.',
    'docs/runbooks/refunds.md'
),
(
    'lock_waits', 'warning', '>', 30, 's', 0,
    'A session has waited for a lock for this many seconds.',
    'Find the session that holds the lock, and end its transaction.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'long_transaction', 'warning', '>', 900, 's', 0,
    'A transaction has been open, or prepared, for this many seconds.',
    'Ask its owner to end it, or end it yourself.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'rollup_late', 'warning', '>', 300, 's', 0,
    'The rollup is this many seconds behind, or was restored from another server.',
    'Check whether the rollup runs, and which open transaction holds it back.',
    'docs/runbooks/metrics-rollup.md'
),
(
    'maintenance_behind', 'warning', '>', 172800, 's', 0,
    'New partitions or a purge of the logs have been due for this many seconds.',
    'Run maintain_partitions() and purge_history(), and find out what blocks them.',
    'docs/runbooks/partitions.md'
);

COMMENT ON TABLE {{ monitoring_schema }}.alert_rules IS
'Alert rules: thresholds, and what to do. Change them with UPDATE; the view alerts follows at '
'once.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.alert_name IS
'Name of the alert, which determines what is measured: see the view alerts.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.severity IS
'critical: respond immediately; warning: within the hour; info: daily review.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.comparison IS
'> if the alert fires above the threshold, < if below.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.threshold IS
'Threshold, in the unit of the rule. A value equal to it does not fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.unit IS
'Unit of the value and the threshold: s (seconds), % (percent), or empty for a number.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.time_window_seconds IS
'Length of the window up to now, in seconds, rounded up to whole minutes; 0 for a present state.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.minimum_events IS
'For a rate or an average: the number of events below which the alert does not fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.enabled IS 'Whether the alert may fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.summary IS
'What is measured, or what is wrong when the alert fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.runbook IS
'Runbook: a path in the repository of ticketdb. May be changed to an address of your own.';
COMMENT ON CONSTRAINT alert_rules_severity_check ON {{ monitoring_schema }}.alert_rules IS
'critical, warning or info.';
COMMENT ON CONSTRAINT alert_rules_comparison_check ON {{ monitoring_schema }}.alert_rules IS
'Above or below the threshold.';
COMMENT ON CONSTRAINT alert_rules_unit_check ON {{ monitoring_schema }}.alert_rules IS
'Units that Nagios knows: none, seconds, percent.';
COMMENT ON CONSTRAINT alert_rules_threshold_check ON {{ monitoring_schema }}.alert_rules IS
'Finite, as monitoring systems require.';
COMMENT ON CONSTRAINT alert_rules_time_window_seconds_check
ON {{ monitoring_schema }}.alert_rules IS
'At most a week, in seconds.';
COMMENT ON CONSTRAINT alert_rules_minimum_events_check ON {{ monitoring_schema }}.alert_rules IS
'Not negative.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alert_rules TO {{ monitor_role }};
{% endif %}

-- object: monitoring/alert_rules_change_log.sql sha256=edeb9bc6030d48e0b13adbbb0dd5d065f13b5a8f1ea41635595ddb250d408632
-- Rules are few and changed only by hand, so that every change is logged.
CREATE OR REPLACE TRIGGER alert_rules_change_log_insert
AFTER INSERT ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('alert_name');

CREATE OR REPLACE TRIGGER alert_rules_change_log_update
AFTER UPDATE ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('alert_name');

CREATE OR REPLACE TRIGGER alert_rules_change_log_delete
AFTER DELETE ON {{ monitoring_schema }}.alert_rules
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('alert_name');

ALTER TABLE {{ monitoring_schema }}.alert_rules
ENABLE ALWAYS TRIGGER alert_rules_change_log_insert,
ENABLE ALWAYS TRIGGER alert_rules_change_log_update,
ENABLE ALWAYS TRIGGER alert_rules_change_log_delete;

COMMENT ON TRIGGER alert_rules_change_log_insert ON {{ monitoring_schema }}.alert_rules IS
'Logs each new rule in change_log.';
COMMENT ON TRIGGER alert_rules_change_log_update ON {{ monitoring_schema }}.alert_rules IS
'Logs each change of a rule in change_log.';
COMMENT ON TRIGGER alert_rules_change_log_delete ON {{ monitoring_schema }}.alert_rules IS
'Logs each deleted rule in change_log.';

-- object: monitoring/alerts.sql sha256=3dc90ca6fe6e86c29fec19a102a60e7c0449b94726cba8d4f899fbaff57f9ceb
-- Always one row for each rule. This view defines what each rule measures; alert_rules defines when
-- it fires. The minutes are read once, for the longest window.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.alerts AS
WITH rules AS MATERIALIZED (
    SELECT
        rule.*,
        {{ internal_schema }}.window_start(make_interval(secs => rule.time_window_seconds)) AS since
    FROM {{ monitoring_schema }}.alert_rules AS rule
),

minutes AS (
    SELECT metric.*
    FROM (SELECT min(rules.since) AS since FROM rules) AS longest
    CROSS JOIN LATERAL {{ internal_schema }}.reservation_metrics(longest.since) AS metric
),

order_minutes AS (
    SELECT metric.*
    FROM (SELECT min(rules.since) AS since FROM rules) AS longest
    CROSS JOIN LATERAL {{ internal_schema }}.order_metrics(longest.since) AS metric
),

holds AS (
    SELECT
        rules.alert_name,
        COALESCE(sum(metric.created), 0) AS created,
        COALESCE(sum(metric.expired), 0) AS expired,
        COALESCE(sum(metric.extended), 0) AS extended,
        COALESCE(
            sum(metric.created + metric.failed_attempts - metric.race_conditions), 0
        ) AS attempts,
        COALESCE(sum(metric.constraint_violations), 0) AS constraint_violations,
        COALESCE(sum(metric.holds_ended), 0) AS ended,
        COALESCE(sum(metric.hold_microseconds), 0) / 1e6 AS seconds
    FROM rules
    LEFT JOIN minutes AS metric ON metric.minute >= rules.since
    GROUP BY rules.alert_name
),

orders AS (
    SELECT
        rules.alert_name,
        COALESCE(sum(metric.orders), 0) AS placed,
        COALESCE(sum(metric.failed_orders), 0) AS failed
    FROM rules
    LEFT JOIN order_minutes AS metric ON metric.minute >= rules.since
    GROUP BY rules.alert_name
),

last_payment AS (
    SELECT COALESCE(max(metric.minute), '-infinity') AS minute
    FROM order_minutes AS metric
    WHERE metric.payments > 0
),

-- Orders placed after the last report of any payment: since then nobody has even tried to pay. By
-- whole minutes, the resolution of the rollups.
unpaid AS (
    SELECT
        COALESCE(sum(metric.orders), 0) AS orders,
        COALESCE(
            extract(
                EPOCH FROM {{ internal_schema }}.window_start('0 minutes') - min(metric.minute)
            ),
            0
        ) AS seconds
    FROM rules
    CROSS JOIN last_payment
    INNER JOIN order_minutes AS metric
        ON metric.minute >= rules.since AND metric.orders > 0
    WHERE
        rules.alert_name = 'no_payments'
        AND metric.minute > last_payment.minute
),

runs AS (
    SELECT
        rules.alert_name,
        total.failed_runs,
        total.longest_run_seconds
    FROM rules
    CROSS JOIN LATERAL {{ internal_schema }}.cleanup_run_totals(rules.since) AS total
    WHERE rules.alert_name IN ('cleanup_runs_failed', 'cleanup_job_slow')
),

rollup AS (
    SELECT
        max(GREATEST(mark.age_seconds, mark.waiting_seconds)) AS late_seconds,
        bool_or(mark.is_restored) AS is_restored
    FROM {{ internal_schema }}.rollup_state() AS mark
),

refunds AS (
    SELECT max(due.oldest_age_seconds) AS oldest_age_seconds
    FROM {{ monitoring_schema }}.refunds_due AS due
),

maintenance AS (
    SELECT max(backlog.behind_seconds) AS behind_seconds
    FROM {{ internal_schema }}.maintenance_backlog() AS backlog
),

measured AS (
    SELECT
        rules.*,
        -- For rates and averages: the number of events.
        CASE
            WHEN rules.alert_name LIKE 'high_expiration_rate%' THEN holds.created
            WHEN rules.alert_name = 'extension_rate' THEN holds.created
            WHEN rules.alert_name = 'low_success_rate' THEN holds.attempts
            WHEN rules.alert_name = 'long_hold_time' THEN holds.ended
            WHEN rules.alert_name LIKE 'payment_%' THEN orders.placed
            WHEN rules.alert_name = 'no_payments' THEN unpaid.orders
        END AS events,
        CASE
            WHEN rules.alert_name LIKE 'high_expiration_rate%'
                THEN 100.0 * holds.expired / NULLIF(holds.created, 0)
            WHEN rules.alert_name = 'extension_rate'
                THEN 100.0 * holds.extended / NULLIF(holds.created, 0)
            WHEN rules.alert_name = 'low_success_rate'
                THEN 100.0 * holds.created / NULLIF(holds.attempts, 0)
            WHEN rules.alert_name = 'long_hold_time' THEN holds.seconds / NULLIF(holds.ended, 0)
            WHEN rules.alert_name LIKE 'payment_%'
                THEN 100.0 * orders.failed / NULLIF(orders.placed, 0)
            WHEN rules.alert_name IN ('constraint_violation', 'double_booking_attempts')
                THEN holds.constraint_violations
            WHEN rules.alert_name IN ('cleanup_job_failed', 'cleanup_job_silent')
                THEN job.last_run_age_seconds
            WHEN rules.alert_name = 'cleanup_runs_failed' THEN runs.failed_runs
            WHEN rules.alert_name = 'cleanup_job_slow' THEN runs.longest_run_seconds
            -- Measured on the holds themselves, whatever the runs report.
            WHEN rules.alert_name = 'overdue_holds' THEN job.oldest_overdue_seconds
            WHEN rules.alert_name = 'many_active_reservations' THEN live.active_reservations
            WHEN rules.alert_name = 'no_payments' THEN GREATEST(unpaid.seconds, 0)
            WHEN rules.alert_name = 'refunds_overdue' THEN refunds.oldest_age_seconds
            WHEN rules.alert_name = 'lock_waits' THEN locks.longest_wait_seconds
            WHEN rules.alert_name = 'long_transaction' THEN locks.oldest_transaction_seconds
            WHEN rules.alert_name = 'rollup_late' THEN rollup.late_seconds
            WHEN rules.alert_name = 'maintenance_behind' THEN maintenance.behind_seconds
        END::double precision AS value,
        CASE
            WHEN rules.alert_name = 'cleanup_job_failed' AND job.last_run_failed = 1 THEN true
            -- A job that never ran has no age, and fires whatever the threshold is.
            WHEN rules.alert_name IN ('cleanup_job_failed', 'cleanup_job_silent')
                THEN job.has_run = 0
            WHEN rules.alert_name = 'rollup_late' THEN rollup.is_restored
            ELSE false
        END AS fires_anyway
    FROM rules
    INNER JOIN holds ON holds.alert_name = rules.alert_name
    INNER JOIN orders ON orders.alert_name = rules.alert_name
    LEFT JOIN runs ON runs.alert_name = rules.alert_name
    CROSS JOIN {{ monitoring_schema }}.cleanup_job_health AS job
    CROSS JOIN {{ monitoring_schema }}.active_reservations AS live
    CROSS JOIN {{ monitoring_schema }}.lock_waits AS locks
    CROSS JOIN unpaid
    CROSS JOIN refunds
    CROSS JOIN rollup
    CROSS JOIN maintenance
)

SELECT
    measured.alert_name,
    measured.severity,
    CASE
        WHEN NOT measured.enabled THEN 0
        WHEN measured.fires_anyway THEN 1
        WHEN measured.events < measured.minimum_events THEN 0
        WHEN measured.comparison = '>' AND measured.value > measured.threshold THEN 1
        WHEN measured.comparison = '<' AND measured.value < measured.threshold THEN 1
        ELSE 0
    END::smallint AS firing,
    measured.value,
    measured.threshold,
    measured.time_window_seconds,
    measured.summary,
    measured.action,
    measured.runbook,
    measured.unit
FROM measured;

COMMENT ON VIEW {{ monitoring_schema }}.alerts IS 'Alerts: one row for each rule, firing or not.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.alert_name IS 'Name of the rule in alert_rules.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.severity IS 'critical, warning or info.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.firing IS '1 while the alert fires, otherwise 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.value IS
'Measured value, in the unit of the rule; NULL for a rate or an average of no events, and for the '
'age of a job that never ran.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.threshold IS 'Threshold of the rule, in its unit.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.time_window_seconds IS
'Length of the window up to now, in seconds; 0 for a present state.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.summary IS
'What is measured, or what is wrong when the alert fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.runbook IS 'Runbook of the alert.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.unit IS
'Unit of the value and the threshold: s (seconds), % (percent), or empty for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alerts TO {{ monitor_role }};
{% endif %}

-- object: monitoring/health.sql sha256=a350ee62b1992bc2f89f50ed80731823b315ae4bfe960c289067777815d6eee7
-- For the person on call: always one row for each check, with its worst findings. Thresholds are
-- those of alert_rules, where there is a rule. Messages are few and contain no numbers, because
-- monitoring systems use them as labels: a number would make a new label every minute. It has a
-- column of its own.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.health AS
WITH alert AS MATERIALIZED (
    SELECT
        every.*,
        CASE
            WHEN every.firing = 0 THEN 0
            WHEN every.severity = 'critical' THEN 2
            WHEN every.severity = 'warning' THEN 1
            ELSE 0
        END AS worth
    FROM {{ monitoring_schema }}.alerts AS every
),

job AS MATERIALIZED (
    SELECT cleanup.*
    FROM {{ monitoring_schema }}.cleanup_job_health AS cleanup
),

mark AS MATERIALIZED (
    SELECT state.*
    FROM {{ internal_schema }}.rollup_state() AS state
),

-- Of the whole server: one with a transaction number holds back the rollup of every database.
open_transaction AS MATERIALIZED (
    SELECT
        transaction.*,
        format('%s of role %s', transaction.state, transaction.role_name) AS who
    FROM {{ internal_schema }}.open_transactions() AS transaction
),

findings (check_name, severity, message, value, unit) AS (
    SELECT
        'alerts',
        alert.worth,
        format('%s fires: %s', alert.alert_name, alert.summary),
        count(*) OVER (PARTITION BY alert.worth)::double precision,
        ''
    FROM alert
    WHERE alert.firing = 1
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        alert.worth,
        CASE
            WHEN alert.alert_name = 'overdue_holds' AND alert.firing = 1
                THEN 'overdue holds are not being ended'
            WHEN job.has_run = 0
                THEN format('scheduled with %s, but has not run yet', job.scheduler)
            WHEN job.last_run_failed = 1 THEN format('the last run, by %s, failed', job.scheduler)
            WHEN alert.alert_name = 'cleanup_job_slow' AND alert.firing = 1
                THEN format('a run by %s took too long', job.scheduler)
            WHEN alert.alert_name = 'cleanup_runs_failed' AND alert.firing = 1
                THEN 'runs have failed in the last day'
            WHEN alert.firing = 1
                THEN format('the last run, by %s, is too long ago', job.scheduler)
            ELSE format('the last run, by %s, succeeded', job.scheduler)
        END,
        CASE WHEN alert.firing = 1 THEN alert.value ELSE job.last_run_age_seconds END,
        CASE WHEN alert.firing = 1 THEN alert.unit ELSE 's' END
    FROM alert
    CROSS JOIN job
    WHERE
        (starts_with(alert.alert_name, 'cleanup_') OR alert.alert_name = 'overdue_holds')
        AND (job.scheduler <> 'none' OR alert.alert_name = 'overdue_holds' AND alert.firing = 1)
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        2,
        'the cleanup has never run: schedule it' AS message,
        NULL::double precision,
        's' AS unit
    FROM job
    WHERE job.scheduler = 'none'
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        CASE WHEN job.is_scheduled = 1 THEN 2 ELSE 1 END,
        CASE
            WHEN job.is_scheduled = 1 THEN 'the process of pg_cron has ended: restart the server'
            ELSE format('%s no longer runs the cleanup: start it again', job.scheduler)
        END,
        job.last_run_age_seconds,
        's' AS unit
    FROM job
    WHERE
        job.scheduler_alive = 0
        AND job.scheduler <> 'none'
    UNION ALL
    SELECT
        'cleanup' AS check_name,
        2,
        cause.problem,
        job.last_run_age_seconds,
        's' AS unit
    FROM {{ internal_schema }}.cleanup_job_problem() AS cause (problem)
    CROSS JOIN job
    WHERE cause.problem IS NOT NULL
    UNION ALL
    SELECT
        'rollup' AS check_name,
        CASE
            WHEN mark.is_restored THEN 2
            WHEN GREATEST(mark.age_seconds, mark.waiting_seconds) > 3 * late.threshold THEN 2
            WHEN GREATEST(mark.age_seconds, mark.waiting_seconds) > late.threshold THEN 1
            ELSE 0
        END,
        CASE
            WHEN mark.is_restored
                THEN format(
                    '%s was restored from another server, new events may be missing: run '
                    'roll_up_metrics()', mark.log
                )
            WHEN mark.waiting_seconds > late.threshold AND mark.age_seconds <= late.threshold
                THEN format(
                    '%s is held back by a transaction, %s: end it',
                    mark.log, COALESCE(
                        (
                            SELECT holder.who
                            FROM open_transaction AS holder
                            WHERE holder.xid_age IS NOT NULL
                            ORDER BY holder.xid_age DESC
                            LIMIT 1
                        ),
                        'which only members of pg_read_all_stats can see'
                    )
                )
            WHEN mark.age_seconds > late.threshold
                THEN format('%s is not being rolled up: run roll_up_metrics()', mark.log)
            ELSE 'the logs are rolled up'
        END,
        GREATEST(mark.age_seconds, mark.waiting_seconds),
        's' AS unit
    FROM mark
    CROSS JOIN alert AS late
    WHERE late.alert_name = 'rollup_late'
    UNION ALL
    SELECT
        'transactions' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1
                THEN COALESCE(
                    (
                        SELECT format('a transaction has been open for too long: %s', oldest.who)
                        FROM open_transaction AS oldest
                        WHERE oldest.is_here
                        ORDER BY oldest.age_seconds DESC
                        LIMIT 1
                    ),
                    'a transaction has been open for too long'
                )
            WHEN hidden.connections > 0
                THEN 'transactions of other roles are hidden: grant the owner pg_read_all_stats'
            ELSE 'no transaction has been open for long'
        END,
        alert.value,
        alert.unit
    FROM alert
    CROSS JOIN {{ monitoring_schema }}.connection_pool AS hidden
    WHERE
        alert.alert_name = 'long_transaction'
        AND hidden.state = 'not visible'
    UNION ALL
    SELECT
        'locks' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1 THEN 'sessions wait too long for a lock: find out who holds it'
            ELSE 'no session has waited long for a lock'
        END,
        alert.value,
        alert.unit
    FROM alert
    WHERE alert.alert_name = 'lock_waits'
    UNION ALL
    SELECT
        'refunds' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1 THEN 'refunds have been due for too long: pay the money back'
            ELSE 'no refund has been due for long'
        END,
        alert.value,
        alert.unit
    FROM alert
    WHERE alert.alert_name = 'refunds_overdue'
    UNION ALL
    SELECT
        'partitions' AS check_name,
        CASE
            WHEN partitions.ends_at <= now() THEN 2
            WHEN partitions.ends_at <= now() + interval '744 hours' THEN 1
            WHEN partitions.has_strays THEN 1
            ELSE 0
        END,
        CASE
            WHEN partitions.ends_at <= now() + interval '744 hours'
                THEN format('%s runs out of partitions: run maintain_partitions()', partitions.log)
            WHEN partitions.has_strays
                THEN format(
                    '%s has rows in its default partition: run maintain_partitions()',
                    partitions.log
                )
            ELSE 'there are partitions for the coming months'
        END,
        GREATEST(
            extract(EPOCH FROM min(partitions.ends_at) OVER () - now())::double precision, 0
        ),
        's' AS unit
    FROM {{ internal_schema }}.log_partitions() AS partitions
    UNION ALL
    SELECT
        'partitions' AS check_name,
        alert.worth,
        CASE
            WHEN alert.firing = 1
                THEN (
                    SELECT
                        format(
                            'behind: %s', string_agg(backlog.task, ', ' ORDER BY backlog.task)
                        )
                    FROM {{ internal_schema }}.maintenance_backlog() AS backlog
                    WHERE backlog.behind_seconds > alert.threshold
                )
            ELSE 'there are partitions for the coming months'
        END,
        CASE WHEN alert.firing = 1 THEN alert.value END,
        's' AS unit
    FROM alert
    WHERE alert.alert_name = 'maintenance_behind'
    UNION ALL
    SELECT
        'invariants' AS check_name,
        CASE
            WHEN checked.violations > 0 THEN 2
            WHEN checked.checked_at < now() - interval '1 hour' THEN 1
            ELSE 0
        END,
        CASE
            WHEN checked.violations > 0 THEN format('%s is broken', checked.invariant)
            WHEN checked.checked_at < now() - interval '1 hour'
                THEN format(
                    'not checked recently: run %I.check_invariants()',
                    {{ internal_schema | literal }}
                )
            ELSE 'no invariant is broken'
        END,
        CASE
            WHEN checked.violations > 0 THEN checked.violations
            ELSE GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        END,
        CASE WHEN checked.violations > 0 THEN '' ELSE 's' END
    FROM {{ internal_schema }}.last_invariant_check AS checked
    UNION ALL
    SELECT
        'invariants' AS check_name,
        3,
        format('never checked: run %I.check_invariants()', {{ internal_schema | literal }})
            AS message,
        NULL::double precision,
        's' AS unit
    WHERE NOT EXISTS (SELECT FROM {{ internal_schema }}.last_invariant_check)
    UNION ALL
    SELECT
        'connections' AS check_name,
        CASE
            WHEN pool.used_pct > 95 THEN 2
            WHEN pool.used_pct > 80 THEN 1
            ELSE 0
        END,
        CASE
            WHEN pool.used_pct > 95 THEN 'almost no connections are left'
            WHEN pool.used_pct > 80 THEN 'few connections are left'
            ELSE 'enough connections are left'
        END,
        pool.used_pct,
        '%' AS unit
    FROM (
        SELECT
            100.0::double precision * sum(by_state.connections)
            -- Some connections are reserved for superusers and the like.
            / (
                min(by_state.max_connections)
                - current_setting('superuser_reserved_connections')::integer
                - COALESCE(current_setting('reserved_connections', TRUE), '0')::integer
            ) AS used_pct
        FROM {{ monitoring_schema }}.connection_pool AS by_state
    ) AS pool
)

SELECT
    checks.check_name,
    CASE COALESCE(worst.severity, 0)
        WHEN 0 THEN 'OK'
        WHEN 1 THEN 'WARNING'
        WHEN 2 THEN 'CRITICAL'
        ELSE 'UNKNOWN'
    END AS status,
    COALESCE(worst.severity, 0)::smallint AS severity,
    COALESCE(worst.message, 'no alert fires') AS message,
    worst.value,
    COALESCE(worst.unit, '') AS unit
FROM (
    VALUES
    ('alerts'), ('cleanup'), ('rollup'), ('partitions'), ('invariants'), ('connections'),
    ('locks'), ('transactions'), ('refunds')
) AS checks (check_name)
LEFT JOIN LATERAL (
    SELECT
        worst_of.severity,
        string_agg(DISTINCT findings.message, '; ' ORDER BY findings.message) AS message,
        (array_agg(findings.value ORDER BY findings.value DESC NULLS LAST))[1] AS value,
        (array_agg(findings.unit ORDER BY findings.value DESC NULLS LAST))[1] AS unit
    FROM findings
    INNER JOIN (
        SELECT max(of_check.severity) AS severity
        FROM findings AS of_check
        WHERE of_check.check_name = checks.check_name
    ) AS worst_of ON worst_of.severity = findings.severity
    WHERE findings.check_name = checks.check_name
    GROUP BY worst_of.severity
) AS worst ON TRUE;

COMMENT ON VIEW {{ monitoring_schema }}.health IS
'State of the installation: always one row for each check.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.check_name IS
'Name of the check: alerts, cleanup, rollup, partitions, invariants, connections, locks, '
'transactions or refunds.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.status IS 'OK, WARNING, CRITICAL or UNKNOWN.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.severity IS
'The status as a number, as Nagios counts: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.message IS
'What was found, and what to do: one of a few sentences, without numbers.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.value IS
'The number that belongs to the message, such as the age of the last run, how far something is '
'behind, or how many alerts fire; NULL if it never happened, or no alert fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.unit IS
'Unit of the value: s (seconds), % (percent), or empty for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.health TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
