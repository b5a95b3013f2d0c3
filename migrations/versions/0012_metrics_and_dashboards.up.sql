-- 0012: Metrics and dashboards.
-- A template, frozen by `ticketdb revision`.

-- object: functions/active_reservation_totals.sql sha256=cf173c3762271959b7b82331d085f14be000b039c627e42487c52536827f1a76
-- For the view active_reservations and the dashboards. A function, because the plan must not depend
-- on statistics of a quiet night: live holds are few, the tables are not.
CREATE OR REPLACE FUNCTION {{ schema }}.active_reservation_totals(
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
        -- FILTER and not WHERE: claims are to be found by their reservation, not by the index of
        -- all live ones.
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

COMMENT ON FUNCTION {{ schema }}.active_reservation_totals() IS
'Holds that are not over, those of them that will be in two minutes, and the seats they hold. For '
'the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.active_reservation_totals() TO {{ monitor_role }};
{% endif %}

-- object: functions/overdue_hold_totals.sql sha256=02919d1a07acf5f3fdf6c1717457ede88c342bc0c55826324302a44f81a2e048
-- For cleanup_job_health: what the cleanup has left undone.
CREATE OR REPLACE FUNCTION {{ schema }}.overdue_hold_totals(
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

COMMENT ON FUNCTION {{ schema }}.overdue_hold_totals() IS
'Holds that are over and still active, and for how many seconds the oldest has been. For the '
'views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.overdue_hold_totals() TO {{ monitor_role }};
{% endif %}

-- object: functions/cleanup_job_state.sql sha256=719c5227d2001fd41b73091394f094da33da5c12aabe4674e8bf4110cd36cc1a
-- For cleanup_job_health. What never happened is NULL, and has_run says so.
CREATE OR REPLACE FUNCTION {{ schema }}.cleanup_job_state(
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
-- Its estimates are guesses: to compile takes longer than to run.
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
    FROM {{ schema }}.cleanup_run_totals({{ schema }}.window_start('24 hours')) AS totals;

    -- One that is running has not succeeded yet, and has not failed. Where the last ten are all
    -- running, queued or skipped, our own record has the one before.
    FOR v_last IN
        SELECT
            run.status,
            run.start_time,
            run.end_time,
            run.scheduler,
            run.ordinality
        FROM {{ schema }}.reservation_cleanup_job_runs() WITH ORDINALITY AS run
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
        -- One that pg_cron could not begin has failed, and has no time.
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
    IF {{ schema }}.can_use_pg_cron() THEN
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
        -- Its name is seen by everybody; what kind of process it is, is not.
        scheduler_alive := pg_is_in_recovery() OR EXISTS (
            SELECT
            FROM pg_stat_activity AS activity
            WHERE activity.application_name LIKE 'pg_cron%'
        );
    ELSE
        -- Nothing else can be seen of a scheduler elsewhere than that it is not silent.
        SELECT last_run_age_seconds <= rule.threshold
        INTO scheduler_alive
        FROM {{ monitoring_schema }}.alert_rules AS rule
        WHERE rule.alert_name = 'cleanup_job_silent';
        scheduler_alive := COALESCE(scheduler_alive, false);
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cleanup_job_state() IS
'When the cleanup last ran and how it went, and whether anything will run it again. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.cleanup_job_state() TO {{ monitor_role }};
{% endif %}

-- object: functions/cleanup_job_problem.sql sha256=e34c5b706114c09c5160760ddf9d86c4cbb65e07f1c3b7ed7344b21ea7f7e53d
-- For the view health: pg_cron says that a connection failed, and not why. What follows a renamed
-- database, a dropped role or a new port can be seen from here. Few values: no ages, no numbers.
CREATE OR REPLACE FUNCTION {{ schema }}.cleanup_job_problem()
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
    FROM {{ schema }}.reservation_cleanup_job_runs() WITH ORDINALITY AS run
    WHERE run.status IN ('succeeded', 'failed')
    ORDER BY run.ordinality
    LIMIT 1;

    IF {{ schema }}.can_use_pg_cron() THEN
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
                FROM {{ schema }}.scheduled_jobs() AS jobs
                WHERE jobs.routine = 'run_reservation_cleanup'
            )
        LOOP
            IF v_job.has_no_database THEN
                RETURN format(
                    'pg_cron runs the cleanup in database %s, which is not there: run ticketdb '
                    'apply', v_job.database
                );
            ELSIF v_job.has_no_role THEN
                RETURN format(
                    'pg_cron runs the cleanup as role %s, which is not there or may not log in: '
                    'run ticketdb apply', v_job.username
                );
            ELSIF v_last.status = 'failed'
                AND v_last.start_time IS NULL
                AND v_job.nodeport <> current_setting('port')::integer
            THEN
                RETURN format(
                    'pg_cron looks for this server on port %s, and it listens on port %s: run '
                    'ticketdb apply', v_job.nodeport, current_setting('port')
                );
            END IF;
        END LOOP;
    END IF;

    IF v_last.status = 'failed' THEN
        RETURN concat_ws(
            ': ',
            CASE
                WHEN v_last.start_time IS NULL THEN 'the last run could not be begun'
                ELSE 'the last run failed'
            END,
            -- Numbers and ids are other ones with every run, and say nothing here.
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

COMMENT ON FUNCTION {{ schema }}.cleanup_job_problem() IS
'Why the cleanup does not run or failed when it last ran, in one sentence; NULL where nothing is '
'wrong. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.cleanup_job_problem() TO {{ monitor_role }};
{% endif %}

-- object: functions/connections_by_state.sql sha256=43f2b3f74856d11bcd5d37b8e787e30cbfd504929479d668fb4a2a92d2680872
-- For connection_pool. Other people's connections tell their state only to members of
-- pg_read_all_stats: to the owner of this function, where it is one, and not to those who monitor.
CREATE OR REPLACE FUNCTION {{ schema }}.connections_by_state()
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
        -- Background processes have no user, or are none of the clients.
        backend.usesysid IS NOT NULL
        AND COALESCE(backend.backend_type, 'client backend') = 'client backend'
) AS activity ON activity.state = states.state
GROUP BY states.state;
$body$;

COMMENT ON FUNCTION {{ schema }}.connections_by_state() IS
'Connections of clients to this server, by state; "not visible" where the owner of the function '
'may not see it. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.connections_by_state() TO {{ monitor_role }};
{% endif %}

-- object: functions/open_transactions.sql sha256=dda814e52fcedcedafc725b9de12dfbaf6dff5a288edfdaae82d2c07484f2929
-- For health and lock_waits: who has a transaction open, and since when. No text of any statement:
-- that may name people. What other people's sessions do is told only to members of
-- pg_read_all_stats: to the owner of this function, where it is one.
CREATE OR REPLACE FUNCTION {{ schema }}.open_transactions()
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
    -- The transaction of a parallel worker is its leader's.
    AND activity.leader_pid IS NULL
    -- It gives way to everybody, and takes as long as a large table takes.
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

COMMENT ON FUNCTION {{ schema }}.open_transactions() IS
'Transactions that are open on this server, prepared ones included: role, state, whether in this '
'database, how many transactions have begun since it got its number (NULL while it has none), and '
'for how many seconds it has been open and idle. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.open_transactions() TO {{ monitor_role }};
{% endif %}

-- object: functions/lock_wait_totals.sql sha256=c114af90306ab9cefeec6efdd549122044c82f3dcd1ec80e31a6a5d54c3739a4
-- For lock_waits. Who waits for a lock and since when is seen by everybody in pg_locks, whatever
-- the owner of this function may see of sessions.
CREATE OR REPLACE FUNCTION {{ schema }}.lock_wait_totals(
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
    -- When it began to wait is noted a moment after it did.
    COALESCE(
        max(GREATEST(extract(EPOCH FROM now() - wanted.waitstart)::double precision, 0)), 0
    )
FROM pg_locks AS wanted
-- A row that is locked is waited for as a transaction, which belongs to no database.
INNER JOIN pg_stat_activity AS activity ON activity.pid = wanted.pid
WHERE
    NOT wanted.granted
    AND activity.datname = current_database();
$body$;

COMMENT ON FUNCTION {{ schema }}.lock_wait_totals() IS
'Sessions of this database that wait for a lock, and for how many seconds the longest has. For the '
'views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.lock_wait_totals() TO {{ monitor_role }};
{% endif %}

-- object: functions/due_refunds.sql sha256=6e6c78a082b1fa67a0546a22dea48dfb3bfaea4a36d338e2cee9fe66877e5ab6
-- For refunds_due. A function, because what is due is found by its index, whatever the statistics.
CREATE OR REPLACE FUNCTION {{ schema }}.due_refunds()
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

COMMENT ON FUNCTION {{ schema }}.due_refunds() IS
'Money that is to be given back, by reason and currency: how many refunds, how much in the minor '
'unit, and for how many seconds the oldest has been due. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.due_refunds() TO {{ monitor_role }};
{% endif %}

-- object: functions/partial_refunds.sql sha256=2a777a528f53e11cea2ac49eafa643f177c7cb1323f1bc8c2e748d50e528a41e
-- For revenue_today: what has been given back of orders that are still paid. The rollup knows
-- orders by their status and amount; these few are found by an index of their own.
CREATE OR REPLACE FUNCTION {{ schema }}.partial_refunds(p_since timestamptz)
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

COMMENT ON FUNCTION {{ schema }}.partial_refunds(timestamptz) IS
'Orders since p_since that are paid and of which a part was given back: when they were ordered, '
'and how much of them it was in the minor unit. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.partial_refunds(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: functions/rollup_state.sql sha256=6881cbdcd7cda16bca0f11a0011239abc4dae008b0aa348efe9f4432368b098e
-- For the views health and system_health. A rollup that runs and gets nowhere, because of an open
-- transaction, is told by what waits for it.
CREATE OR REPLACE FUNCTION {{ schema }}.rollup_state()
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
    v_mark {{ schema }}.metric_watermarks;
BEGIN
    FOR v_mark IN SELECT mark.* FROM {{ schema }}.metric_watermarks AS mark LOOP
        log := v_mark.log;
        is_restored := {{ schema }}.is_restored_log(log);
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

COMMENT ON FUNCTION {{ schema }}.rollup_state() IS
'For each log: whether it came with a dump of another server and has not been rolled up since, '
'seconds since the rollup last ran, and for how many seconds rows have waited for it to get on. '
'For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.rollup_state() TO {{ monitor_role }};
{% endif %}

-- object: functions/log_partitions.sql sha256=895fcb284cc9b7fe0aa1969a63ef3db3536f06a8caf3c506963cb8a137cc4d46
-- For the view health, whose readers may not look into the partitions.
CREATE OR REPLACE FUNCTION {{ schema }}.log_partitions()
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
-- The bounds of partitions are printed by these, and read back.
SET datestyle = 'ISO'
SET timezone = 'UTC'
ROWS 4
AS $body$
BEGIN
    FOR log IN SELECT logs.name FROM {{ schema }}.partitioned_logs() AS logs (name) LOOP
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
        WHERE link.inhparent = to_regclass(format('%I.%I', {{ schema | literal }}, log));

        -- Not those from a clock that is wrong: no month is made for them.
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I AS event WHERE event.created_at < $1)',
            {{ schema | literal }}, log || '_default'
        )
        INTO has_strays
        USING {{ schema }}.log_horizon();
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.log_partitions() IS
'Up to when each log has partitions, whether its default partition has rows that '
'maintain_partitions() would move, and up to when its oldest month goes. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.log_partitions() TO {{ monitor_role }};
{% endif %}

-- object: functions/maintenance_backlog.sql sha256=61659441b4db380b40a9e6e03ddd5264d068792ebb819f90641c9a9b062748eb
-- For the view health and an alert: what the jobs gave up behind somebody's lock, or never came to.
CREATE OR REPLACE FUNCTION {{ schema }}.maintenance_backlog()
RETURNS TABLE (task text, behind_seconds double precision)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The bounds of partitions are printed by these, and read back. Months are counted in UTC.
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
        FROM {{ schema }}.log_partitions() AS log
    )

    SELECT
        due.task,
        GREATEST(extract(EPOCH FROM now() - due.since), 0)::double precision
    FROM (
        -- The month that is missing was due when the one came that is as many months before it.
        SELECT
            'partitions of ' || log.log AS task,
            log.ends_at - age({{ schema }}.log_horizon(), date_trunc('month', now()))
            + interval '1 month' AS since
        FROM logs AS log
        UNION ALL
        SELECT
            'purge of ' || log.log AS task,
            log.oldest_ends_at + make_interval(hours => 24 * v_settings.audit_retention_days) AS since
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

COMMENT ON FUNCTION {{ schema }}.maintenance_backlog() IS
'What maintain_partitions() and purge_history() have to do, and for how many seconds it has been '
'due; 0 where there is nothing to do. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.maintenance_backlog() TO {{ monitor_role }};
{% endif %}

-- object: views/reservation_success_rate.sql sha256=fdd3b064b6c166b5e64436a79656a44258a6d57690837f23f7271a800e526d54
-- Metric 1. A rate of attempts: sales, which the guide's query counts too, are none, nor are
-- refused extensions and releases. Legitimate conflicts are left out of the first rate, as the
-- guide's target says.
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
            {{ schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('1h', interval '1 hour'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN {{ schema }}.reservation_metrics({{ schema }}.window_start('24 hours')) AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_success_rate IS
'How many attempts to hold seats succeed.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.total_attempts IS
'Holds created, and attempts to reserve that were refused.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.succeeded IS 'Holds created.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.race_conditions IS
'Attempts refused because of another customer: the seats are taken, or being worked on.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.system_errors IS
'Attempts refused for another reason.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.success_rate_pct IS
'Holds created, in percent of the attempts without race conditions; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.raw_success_rate_pct IS
'Holds created, in percent of all attempts; NULL without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_success_rate TO {{ monitor_role }};
{% endif %}

-- object: views/double_booking_attempts.sql sha256=b8e21e7808f4aa01039811b9a3f319101b10d5298c189d6e9b1d1e06d31cb2b8
-- Metric 2. The constraints of the database should never have to step in.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.double_booking_attempts AS
SELECT
    windows.time_window,
    COALESCE(sum(metric.constraint_violations), 0)::bigint AS attempts
FROM (
    SELECT
        named.time_window,
        {{ schema }}.window_start(named.length) AS since
    FROM (
        VALUES
        ('5m', interval '5 minutes'),
        ('24h', interval '24 hours')
    ) AS named (time_window, length)
) AS windows
LEFT JOIN {{ schema }}.reservation_metrics({{ schema }}.window_start('24 hours')) AS metric
    ON metric.minute >= windows.since
GROUP BY windows.time_window;

COMMENT ON VIEW {{ monitoring_schema }}.double_booking_attempts IS
'How often a constraint of the database prevented a double booking.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.attempts IS
'Calls that a constraint stopped; should be 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.double_booking_attempts TO {{ monitor_role }};
{% endif %}

-- object: views/reservation_expiration_rate.sql sha256=e7592c4abfd15d53e96ab0afcbef4634c93c79c183904590df4fcba831a0723d
-- Metric 3.
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
            {{ schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('1h', interval '1 hour'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN {{ schema }}.reservation_metrics({{ schema }}.window_start('24 hours')) AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_expiration_rate IS
'How many holds expire without an order.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_created IS
'Holds created in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_completed IS
'Holds completed in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.total_expired IS
'Holds expired in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_expiration_rate.expiration_rate_pct IS
'Holds expired, in percent of those created; NULL when none was. May exceed 100: what expires '
'was created before.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_expiration_rate TO {{ monitor_role }};
{% endif %}

-- object: views/reservation_hold_time.sql sha256=5b63503cd1fc24ddf1eae38c2f541ea2d7585d76050f146a1f40c2c5751ee806
-- Metric 4. From the length that is stored when a hold ends: those that began before the window are
-- in it, too.
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
            {{ schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN {{ schema }}.reservation_metrics({{ schema }}.window_start('24 hours')) AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.reservation_hold_time IS
'How long holds last until they are completed or expire.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.holds_ended IS
'Holds completed or expired in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.avg_hold_minutes IS
'Their average length in minutes; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_hold_time.avg_hold_seconds IS
'Their average length in seconds; NULL without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.reservation_hold_time TO {{ monitor_role }};
{% endif %}

-- object: views/cleanup_job_health.sql sha256=d65a1f8eb1349218e1039015895cd696609e0d104e9d4ff42d5ca9297dc04579
-- Metric 5. What never happened is NULL, and has_run says so.
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
FROM {{ schema }}.cleanup_job_state() AS job
CROSS JOIN {{ schema }}.overdue_hold_totals() AS holds;

COMMENT ON VIEW {{ monitoring_schema }}.cleanup_job_health IS
'How the cleanup of holds that are over is doing: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler IS
'Who runs it: pg_cron where it is scheduled there, otherwise who ran it last; none if nobody '
'did.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_age_seconds IS
'Seconds since the last run that has ended began; NULL if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_duration_seconds IS
'How long the last run took, in seconds; NULL if there was none, or pg_cron could not begin it.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_failed IS
'1 if the last run failed, or pg_cron could not begin it.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.failed_runs_24h IS
'Failed runs of the last 24 hours, those that pg_cron could not begin included.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.runs_24h IS
'Runs that ended in the last 24 hours; skipped ones are not runs.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.overdue_holds IS
'Holds that are over and not cleaned up.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.oldest_overdue_seconds IS
'For how many seconds the oldest of them has been over; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.is_scheduled IS
'1 if pg_cron has the job, and it is switched on.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler_alive IS
'1 if the scheduler is there: the process of pg_cron, or a run by another within the threshold '
'of cleanup_job_silent.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.has_run IS
'1 if the cleanup ever ran; 0 where last_run_age_seconds is NULL.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.skipped_runs_24h IS
'Runs of the last 24 hours that were skipped, since another run was at work.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.longest_run_seconds IS
'How long the longest run took, in seconds, of those that ended in the last 24 hours or are at '
'work; 0 without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.cleanup_job_health TO {{ monitor_role }};
{% endif %}

-- object: views/active_reservations.sql sha256=3fced976119eaaf8430937453ccc5c1e704dcbd3076a95cf16729dc1c34f32da
-- Metric 6. A hold that is over is none, cleaned up or not.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.active_reservations AS
SELECT
    totals.active_reservations,
    totals.expiring_soon,
    totals.total_seats_held
FROM {{ schema }}.active_reservation_totals() AS totals;

COMMENT ON VIEW {{ monitoring_schema }}.active_reservations IS
'Holds on seats right now: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.active_reservations IS
'Holds that are not over.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.expiring_soon IS
'Those that will be over within 2 minutes.';
COMMENT ON COLUMN {{ monitoring_schema }}.active_reservations.total_seats_held IS
'Seats that they hold.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.active_reservations TO {{ monitor_role }};
{% endif %}

-- object: views/payment_failures.sql sha256=4faa9f9606e85a5fb2d7798bb0bf34700f2fffc692de41fd4aa779cda8f5cd71
-- Metric 7. Orders count in the minute they were created, by their present status, as in the guide.
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
            {{ schema }}.window_start(named.length) AS since
        FROM (
            VALUES
            ('15m', interval '15 minutes'),
            ('24h', interval '24 hours')
        ) AS named (time_window, length)
    ) AS windows
    LEFT JOIN {{ schema }}.order_metrics({{ schema }}.window_start('24 hours')) AS metric
        ON metric.minute >= windows.since
    GROUP BY windows.time_window
) AS total;

COMMENT ON VIEW {{ monitoring_schema }}.payment_failures IS
'How many payments fail.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.total_orders IS
'Orders created in the window.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.failed_orders IS
'Those whose payment has failed, as things stand.';
COMMENT ON COLUMN {{ monitoring_schema }}.payment_failures.failure_rate_pct IS
'The same in percent; NULL without orders.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.payment_failures TO {{ monitor_role }};
{% endif %}

-- object: views/revenue_today.sql sha256=15aae49c3e2aa9cb0a9ed6dc79d5ac533be6ade46aacadfc236a336f12ca27da
-- Dashboard 1, revenue by currency, never added up. Every currency that a show is sold in has its
-- row, and a house without shows one that says none. The day is told by the date of each minute:
-- its first instant cannot be computed where clocks are put back at midnight.
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
    CROSS JOIN LATERAL {{ schema }}.order_metrics({{ schema }}.window_start('26 hours')) AS metric
    WHERE
        metric.minute < now() + interval '2 days'
        AND (metric.minute AT TIME ZONE settings.business_time_zone)::date
        = (now() AT TIME ZONE settings.business_time_zone)::date
    GROUP BY metric.currency
    -- Not what says no more than that a payment was refused.
    HAVING sum(metric.paid_orders) <> 0 OR sum(metric.tickets) <> 0
),

given_back AS (
    SELECT
        refund.currency,
        sum(refund.refunded_in_cents)::bigint AS refunded_cents
    FROM settings
    CROSS JOIN LATERAL {{ schema }}.partial_refunds({{ schema }}.window_start('26 hours')) AS refund
    WHERE
        refund.ordered_at < now() + interval '2 days'
        AND (refund.ordered_at AT TIME ZONE settings.business_time_zone)::date
        = (now() AT TIME ZONE settings.business_time_zone)::date
    GROUP BY refund.currency
),

-- From one currency to the next by the index: there are few, and more and more shows.
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
'ISO 4217 code; none while there is no show.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue_cents IS
'Total of the orders created today that are paid, less what was given back of them, in the minor '
'unit of the currency: cents of EUR, yen of JPY.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.orders_paid IS 'How many orders that are.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.tickets_sold IS
'Tickets issued today, refunded ones included.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue IS
'The revenue in the major unit: euros of EUR, yen of JPY.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.revenue_today TO {{ monitor_role }};
{% endif %}

-- object: views/realtime_dashboard.sql sha256=0eb952aa78fd9f1f8e1aa185823286a551ecdf7f37c375d7145f2d1355ef03d5
-- Dashboard 1, real-time operations.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.realtime_dashboard AS
WITH last_hour AS (
    SELECT COALESCE(sum(metric.created), 0)::bigint AS created
    FROM {{ schema }}.reservation_metrics({{ schema }}.window_start('1 hour')) AS metric
),

today AS (
    SELECT
        sum(revenue.tickets_sold)::bigint AS tickets_sold,
        -- What was taken in several currencies has no sum.
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
FROM {{ schema }}.active_reservation_totals() AS holds
CROSS JOIN {{ schema }}.cleanup_job_state() AS job
CROSS JOIN last_hour
CROSS JOIN today;

COMMENT ON VIEW {{ monitoring_schema }}.realtime_dashboard IS
'Real-time operations: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.active_reservations IS
'Holds that are not over.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.reservations_last_hour IS
'Holds created in the last hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.tickets_sold_today IS
'Tickets issued today, refunded ones included.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.revenue_today_cents IS
'Total of the orders created today that are paid, less what was given back of them, in the minor '
'unit of their currency; NULL where there are several currencies: see revenue_today.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_age_seconds IS
'Seconds since the last run of the cleanup began; NULL if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_failed IS
'1 if it failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_duration_seconds IS
'How long it took, in seconds; NULL if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.cleanup_has_run IS
'0 if there was none.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.realtime_dashboard TO {{ monitor_role }};
{% endif %}

-- object: views/hourly_metrics.sql sha256=fb5f66824b66487b95285e32ce5e6a4e560475c5e612897ef8753c3bbd1edaba
-- The last 24 hours by the clock of the house, the present one included; hours without events are
-- rows of zeros. max() tells the planner what it cannot know of a young table: there is one row.
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
    LEFT JOIN {{ schema }}.reservation_metrics({{ schema }}.window_start('25 hours')) AS metric
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
'What happened to holds, by the hour, for 24 hours: always 24 rows, oldest first.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.time IS 'Beginning of the hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_created IS 'Holds created.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_completed IS
'Holds completed.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_expired IS 'Holds expired.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.reservations_failed IS 'Calls refused.';
COMMENT ON COLUMN {{ monitoring_schema }}.hourly_metrics.completion_rate_pct IS
'Holds completed, in percent of those created; NULL when none was.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.hourly_metrics TO {{ monitor_role }};
{% endif %}

-- object: views/top_errors.sql sha256=4f0576cca19217528dd2ed2e71a52757eedbcd5e929f654c2a0e295d9fc0e265
-- The ten most frequent reasons for which calls are refused. A row says so when there was none: a
-- panel or an alert without rows has no data.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.top_errors AS
SELECT
    COALESCE(error.error_message, '(none)') AS error_message,
    COALESCE(error.occurrences, 0) AS occurrences,
    GREATEST(
        extract(EPOCH FROM now() - error.last_seen_at)::double precision, 0
    ) AS last_seen_age_seconds
FROM (VALUES (1)) AS always (is_there) -- noqa: ST11
LEFT JOIN {{ schema }}.error_metrics({{ schema }}.window_start('24 hours'), 10) AS error ON true
ORDER BY
    error.occurrences DESC,
    error.last_seen_at DESC,
    error.error_message ASC;

COMMENT ON VIEW {{ monitoring_schema }}.top_errors IS
'The ten most frequent error messages of the last 24 hours.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.error_message IS
'The message; (no message) where a row has none, (none) when there was no error.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.occurrences IS 'How often.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.last_seen_age_seconds IS
'Seconds since the latest; 0 for one in the future.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.top_errors TO {{ monitor_role }};
{% endif %}

-- object: views/extension_trends.sql sha256=221f873337e25b4a3025f1c2eacaf88bfa5228d4b40852844cbde8383b13fb9a
-- For the daily review: whole days of the house, today and six before.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.extension_trends AS
SELECT
    -- Where the clock is put back at midnight, midnight is there twice: the first is meant.
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
    FROM {{ schema }}.extension_metrics(7) AS metric
    CROSS JOIN {{ schema }}.ticketing_settings AS settings
) AS midnight
ORDER BY midnight.at;

COMMENT ON VIEW {{ monitoring_schema }}.extension_trends IS
'How often holds are extended, by the day, for 7 days: always 7 rows, oldest first.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.time IS
'Beginning of the day in business_time_zone.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.extensions IS 'Extensions.';
COMMENT ON COLUMN {{ monitoring_schema }}.extension_trends.unique_reservations IS
'Different reservations that were extended.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.extension_trends TO {{ monitor_role }};
{% endif %}

-- object: views/quality_dashboard.sql sha256=6715c4260a737b4c0da08b178611e98afcf03bb7a4a89cb68a96a6449863fb7f
-- Dashboard 2, quality metrics of 24 hours, put together from the views of the metrics.
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
'Quality of the last 24 hours: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.success_rate_pct IS
'Holds created, in percent of the attempts without race conditions; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.raw_success_rate_pct IS
'Holds created, in percent of all attempts; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.double_booking_attempts IS
'Calls that a constraint stopped; should be 0.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.expiration_rate_pct IS
'Holds expired, in percent of those created; NULL when none was.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.holds_ended IS
'Holds completed or expired.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.avg_hold_seconds IS
'Their average length in seconds; NULL without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.quality_dashboard.payment_failure_rate_pct IS
'Orders whose payment has failed, in percent; NULL without orders.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.quality_dashboard TO {{ monitor_role }};
{% endif %}

-- object: views/connection_pool.sql sha256=5d519a9a84a0462c494418832c33284ec108597fa548855cec274067774dc148
-- Dashboard 3, connections of clients to the server. Every state has its row.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.connection_pool AS
WITH server AS (
    SELECT current_setting('max_connections')::bigint AS max_connections
)

SELECT
    pool.state,
    pool.connections,
    server.max_connections,
    100.0::double precision * pool.connections / server.max_connections AS used_pct
FROM {{ schema }}.connections_by_state() AS pool
CROSS JOIN server;

COMMENT ON VIEW {{ monitoring_schema }}.connection_pool IS
'Connections to the server by state.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.state IS
'active, idle, idle in transaction, idle in transaction (aborted), other, or not visible: the '
'owner of ticketdb needs pg_read_all_stats for those.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.connections IS
'Connections of clients in this state.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.max_connections IS
'How many connections the server accepts.';
COMMENT ON COLUMN {{ monitoring_schema }}.connection_pool.used_pct IS
'The connections in percent of that.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.connection_pool TO {{ monitor_role }};
{% endif %}

-- object: views/lock_waits.sql sha256=890e8ae8f911945cc246c58e7295bb5694a6314e060ea9eeb71a5b1ac2c313e3
-- Who stands in whose way, in one row: sessions that wait, and transactions that others may come to
-- wait for. Of this database.
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
    FROM {{ schema }}.open_transactions() AS transaction
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
FROM {{ schema }}.lock_wait_totals() AS locks
CROSS JOIN transactions;

COMMENT ON VIEW {{ monitoring_schema }}.lock_waits IS
'Sessions of this database that wait for a lock, and transactions that are open: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.waiting_sessions IS
'Sessions that wait for a lock.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_wait_seconds IS
'For how many seconds the longest of them has waited; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.open_transactions IS
'Transactions that are open, prepared ones included, ours and those of autovacuum left out. Of '
'other roles only where the owner of ticketdb has pg_read_all_stats.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_transaction_seconds IS
'For how many seconds the oldest of them has been open; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.idle_in_transaction IS
'Those of them whose session does nothing.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.longest_idle_seconds IS
'For how many seconds the longest of those has done nothing; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.prepared_transactions IS
'Those that are prepared and wait for COMMIT PREPARED, with no session that would end them.';
COMMENT ON COLUMN {{ monitoring_schema }}.lock_waits.oldest_prepared_seconds IS
'For how many seconds the oldest of those has been prepared; 0 without any.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.lock_waits TO {{ monitor_role }};
{% endif %}

-- object: views/refunds_due.sql sha256=a20c7c43eaed5ee651ed4ea15dea9cd546bb435637ea6f81bfaa8a81b873149d
-- Money without a home: what came and bought nothing, or was taken back, and has not been given
-- back yet. Currencies are never added up. A row says so when nothing is due.
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
LEFT JOIN {{ schema }}.due_refunds() AS due ON true
LEFT JOIN {{ schema }}.currencies AS currency ON currency.code = due.currency;

COMMENT ON VIEW {{ monitoring_schema }}.refunds_due IS
'Money that is to be given back, by reason and currency.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.reason IS
'Why, as in refunds; none when nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.currency IS
'ISO 4217 code; none when nothing is due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.refunds IS 'How many refunds are due.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.amount IS
'How much together, in the major unit: euros of EUR, yen of JPY.';
COMMENT ON COLUMN {{ monitoring_schema }}.refunds_due.oldest_age_seconds IS
'For how many seconds the oldest has been due.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.refunds_due TO {{ monitor_role }};
{% endif %}

-- object: views/api_endpoint_health.sql sha256=4cd3333ca6b0fe40a413f84e709fe1210dce1b3f2e072b7367e58bc235641561
-- Dashboard 3, how the endpoints of the shop answered in the last hour. Percentiles from
-- logarithmic buckets: what they say is within two percent of a request at that rank. The busiest
-- endpoints have their row, all others one together.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.api_endpoint_health AS
WITH metrics AS MATERIALIZED (
    SELECT metric.*
    FROM {{ schema }}.api_metrics({{ schema }}.window_start('1 hour')) AS metric
),

labels AS MATERIALIZED (
    SELECT
        placed.endpoint,
        CASE
            WHEN placed.place <= {{ schema }}.endpoint_limit() THEN placed.endpoint
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
        -- The middle of the bucket, in the sense of ratios.
        2 / (1 + growth.factor) * power(growth.factor, bucket.duration_bucket) AS milliseconds,
        sum(bucket.requests) OVER by_duration AS requests_up_to,
        sum(bucket.requests) OVER (PARTITION BY bucket.endpoint) AS requests_in_all
    FROM (
        SELECT
            labels.label AS endpoint,
            metric.duration_bucket,
            sum(metric.requests) AS requests
        FROM {{ schema }}.api_durations({{ schema }}.window_start('1 hour')) AS metric
        INNER JOIN labels ON labels.endpoint = metric.endpoint
        GROUP BY
            labels.label,
            metric.duration_bucket
    ) AS bucket
    CROSS JOIN {{ schema }}.duration_bucket_growth() AS growth (factor)
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
'How the endpoints of the shop answered in the last hour: the busiest, and the rest together.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.endpoint IS
'Route, as given to log_api_request(); other for those beyond the endpoint_limit() busiest; (none) '
'when there was no request.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.requests IS 'Requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.errors IS
'Those answered with a status of 500 or above.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.error_rate_pct IS
'The same in percent; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.avg_milliseconds IS
'Average duration in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p50_milliseconds IS
'Half of the requests took no longer, in milliseconds.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p95_milliseconds IS
'95 of 100 requests took no longer, in milliseconds.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.p99_milliseconds IS
'99 of 100 requests took no longer, in milliseconds.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.api_endpoint_health TO {{ monitor_role }};
{% endif %}

-- object: views/system_health.sql sha256=dd082b9b618fc1c7c77ae8e5aaf6e652d64a7e381e978f735023e1801fcda206
-- Dashboard 3, the state of the machinery in one row.
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
    FROM {{ schema }}.api_metrics({{ schema }}.window_start('1 hour')) AS metric
),

rollup AS (
    SELECT max(mark.age_seconds) AS age_seconds
    FROM {{ schema }}.rollup_state() AS mark
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
FROM {{ schema }}.cleanup_job_state() AS job
CROSS JOIN {{ schema }}.overdue_hold_totals() AS holds
CROSS JOIN pool
CROSS JOIN api
CROSS JOIN rollup;

COMMENT ON VIEW {{ monitoring_schema }}.system_health IS
'State of the machinery: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_age_seconds IS
'Seconds since the last run of the cleanup began; NULL if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_failed IS '1 if it failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_duration_seconds IS
'How long it took, in seconds; NULL if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.scheduler_alive IS
'1 if whatever runs the cleanup is there.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.overdue_holds IS
'Holds that are over and not cleaned up.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.connections IS
'Connections of clients to the server.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.max_connections IS
'How many connections the server accepts.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.connections_used_pct IS
'The connections in percent of that.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.requests_last_hour IS
'Requests to the endpoints of the shop in the last hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.error_rate_pct IS
'Those answered with a status of 500 or above, in percent; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.avg_milliseconds IS
'Their average duration in milliseconds; NULL without requests.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.rollup_age_seconds IS
'Seconds since the logs were last rolled up.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.cleanup_has_run IS
'0 if the cleanup has never run.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.system_health TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
