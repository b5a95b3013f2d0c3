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

-- object: functions/cleanup_job_state.sql sha256=092a3a46eac5900869ececd9d10e95cbd04f7ae3b7bf51092a1c7b811cfce196
-- For cleanup_job_health. A job that never ran is told as one that last ran at the beginning of
-- Unix time, as exporters do it: too long ago for every threshold.
CREATE OR REPLACE FUNCTION {{ schema }}.cleanup_job_state(
    OUT scheduler text,
    OUT last_run_age_seconds double precision,
    OUT last_run_duration_seconds double precision,
    OUT last_run_failed boolean,
    OUT failed_runs_24h bigint,
    OUT runs_24h bigint,
    OUT is_scheduled boolean,
    OUT scheduler_alive boolean
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_last record;
BEGIN
    SELECT
        count(*) FILTER (WHERE run.status = 'failed'),
        count(*)
    INTO
        failed_runs_24h,
        runs_24h
    FROM {{ schema }}.reservation_cleanup_job_runs(10000) AS run
    WHERE run.start_time >= {{ schema }}.window_start('24 hours');

    SELECT run.*
    INTO v_last
    FROM {{ schema }}.reservation_cleanup_job_runs(10) AS run
    -- One that is running has not succeeded yet, and has not failed.
    WHERE run.end_time IS NOT NULL
    ORDER BY run.start_time DESC NULLS LAST
    LIMIT 1;
    scheduler := COALESCE(v_last.scheduler, 'none');
    last_run_age_seconds := GREATEST(
        extract(EPOCH FROM now() - COALESCE(v_last.start_time, 'epoch'))::double precision, 0
    );
    last_run_duration_seconds := COALESCE(
        extract(EPOCH FROM v_last.end_time - v_last.start_time)::double precision, 0
    );
    last_run_failed := COALESCE(v_last.status = 'failed', false);

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

-- object: functions/log_partitions.sql sha256=0274f1b1330837b88e5b3f288ef5219ce19b2bf85eb9cfc0a19c82c2818a18bd
-- For the view health, whose readers may not look into the partitions.
CREATE OR REPLACE FUNCTION {{ schema }}.log_partitions()
RETURNS TABLE (log text, ends_at timestamptz, has_strays boolean)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The bounds of partitions are printed by these, and read back.
SET datestyle = 'ISO'
SET timezone = 'UTC'
ROWS 3
AS $body$
BEGIN
    FOR log IN SELECT logs.name FROM {{ schema }}.partitioned_logs() AS logs (name) LOOP
        SELECT COALESCE(max(upper_bound.value::timestamptz), 'epoch')
        INTO ends_at
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
        USING date_trunc('month', now()) + interval '4 months';
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.log_partitions() IS
'Up to when each log has partitions, and whether its default partition has rows that '
'maintain_partitions() would move. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.log_partitions() TO {{ monitor_role }};
{% endif %}

-- object: views/reservation_success_rate.sql sha256=1fe9f2f6858bb2599b8ef73c0096d6370eee8cdaed1d94f5da2594b0b828f534
-- Metric 1. A rate of attempts: sales, which the guide's query counts too, are none. Legitimate
-- conflicts are left out of the first rate, as the guide's target says.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.reservation_success_rate AS
SELECT
    total.time_window,
    total.created + total.failed AS total_attempts,
    total.created AS succeeded,
    total.race_conditions,
    total.failed - total.race_conditions AS system_errors,
    100.0::double precision * total.created
    / NULLIF(total.created + total.failed - total.race_conditions, 0) AS success_rate_pct,
    100.0::double precision * total.created
    / NULLIF(total.created + total.failed, 0) AS raw_success_rate_pct
FROM (
    SELECT
        windows.time_window,
        COALESCE(sum(metric.created), 0)::bigint AS created,
        COALESCE(sum(metric.failed), 0)::bigint AS failed,
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
'Holds created and calls refused.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.succeeded IS 'Holds created.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.race_conditions IS
'Calls refused because another customer was faster.';
COMMENT ON COLUMN {{ monitoring_schema }}.reservation_success_rate.system_errors IS
'Calls refused for another reason.';
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

-- object: views/cleanup_job_health.sql sha256=80a549d3f74d55106a0a6ab56ac05d4dbcc4e5ac2da9b3d2cdc79f3fd58a04f4
-- Metric 5. A job that never ran is told as one that last ran at the beginning of Unix time: too
-- long ago for every threshold.
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
    job.scheduler_alive::integer::smallint AS scheduler_alive
FROM {{ schema }}.cleanup_job_state() AS job
CROSS JOIN {{ schema }}.overdue_hold_totals() AS holds;

COMMENT ON VIEW {{ monitoring_schema }}.cleanup_job_health IS
'How the cleanup of holds that are over is doing: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler IS
'Who runs it: pg_cron where it is scheduled there, otherwise who ran it last; none if nobody '
'did.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_age_seconds IS
'Seconds since the last run that has ended began; since 1970 if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_duration_seconds IS
'How long that run took, in seconds.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.last_run_failed IS
'1 if that run failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.failed_runs_24h IS
'Failed runs of the last 24 hours.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.runs_24h IS
'Runs of the last 24 hours.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.overdue_holds IS
'Holds that are over and not cleaned up.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.oldest_overdue_seconds IS
'For how many seconds the oldest of them has been over; 0 without any.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.is_scheduled IS
'1 if pg_cron has the job, and it is switched on.';
COMMENT ON COLUMN {{ monitoring_schema }}.cleanup_job_health.scheduler_alive IS
'1 if the scheduler is there: the process of pg_cron, or a run by another within the threshold '
'of cleanup_job_silent.';

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

-- object: views/revenue_today.sql sha256=c03afc97ffbe54be4a7bc6e530af309c5708fa1890b4331f75df8a67f5644016
-- Dashboard 1, revenue by currency. Every currency that a show is sold in has its row, and a house
-- without shows one that says none. The day is told by the date of each
-- minute: its first instant cannot be computed where clocks are put back at midnight.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.revenue_today AS
WITH settings AS (
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
),

currencies AS (
    SELECT today.currency FROM today
    UNION
    SELECT show.currency FROM {{ schema }}.shows AS show
    UNION
    SELECT 'none' AS currency
    WHERE NOT EXISTS (SELECT FROM {{ schema }}.shows)
)

SELECT
    currencies.currency,
    COALESCE(today.revenue_cents, 0) AS revenue_cents,
    COALESCE(today.orders_paid, 0) AS orders_paid,
    COALESCE(today.tickets_sold, 0) AS tickets_sold
FROM currencies
LEFT JOIN today ON today.currency = currencies.currency;

COMMENT ON VIEW {{ monitoring_schema }}.revenue_today IS
'Revenue of today by currency. Today begins at midnight in business_time_zone.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.currency IS
'ISO 4217 code; none while there is no show.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.revenue_cents IS
'Total of the orders created today that are paid, in hundredths of the currency.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.orders_paid IS 'How many orders that are.';
COMMENT ON COLUMN {{ monitoring_schema }}.revenue_today.tickets_sold IS
'Tickets issued today, refunded ones included.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.revenue_today TO {{ monitor_role }};
{% endif %}

-- object: views/realtime_dashboard.sql sha256=f131ce6163c199f8c6305c025cbf0c60e4ac615aceaf01fa6f13d26b946a50fc
-- Dashboard 1, real-time operations.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.realtime_dashboard AS
WITH last_hour AS (
    SELECT COALESCE(sum(metric.created), 0)::bigint AS created
    FROM {{ schema }}.reservation_metrics({{ schema }}.window_start('1 hour')) AS metric
),

today AS (
    SELECT
        sum(revenue.tickets_sold)::bigint AS tickets_sold,
        sum(revenue.revenue_cents)::bigint AS revenue_cents
    FROM {{ monitoring_schema }}.revenue_today AS revenue
)

SELECT
    holds.active_reservations,
    last_hour.created AS reservations_last_hour,
    today.tickets_sold AS tickets_sold_today,
    today.revenue_cents AS revenue_today_cents,
    job.last_run_age_seconds AS last_cleanup_age_seconds,
    job.last_run_failed::integer::smallint AS last_cleanup_failed,
    job.last_run_duration_seconds AS last_cleanup_duration_seconds
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
'Total of the orders created today that are paid, in hundredths; all currencies added up. By '
'currency: revenue_today.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_age_seconds IS
'Seconds since the last run of the cleanup began; since 1970 if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_failed IS
'1 if it failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.realtime_dashboard.last_cleanup_duration_seconds IS
'How long it took, in seconds.';

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

-- object: views/api_endpoint_health.sql sha256=5016326298fac3eba92888853e833a0d6b16e5c7c3d2eac3b6258cac0e3351df
-- Dashboard 3, how the endpoints of the shop answered in the last hour. Percentiles from
-- logarithmic buckets: what they say is within two percent of a request at that rank.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.api_endpoint_health AS
WITH ranked AS (
    SELECT
        metric.endpoint,
        -- The middle of the bucket, in the sense of ratios.
        2 / (1 + growth.factor) * power(growth.factor, metric.duration_bucket) AS milliseconds,
        sum(metric.requests) OVER by_duration AS requests_up_to,
        sum(metric.requests) OVER (PARTITION BY metric.endpoint) AS requests_in_all
    FROM {{ schema }}.api_durations({{ schema }}.window_start('1 hour')) AS metric
    CROSS JOIN {{ schema }}.duration_bucket_growth() AS growth (factor)
    WINDOW by_duration AS (PARTITION BY metric.endpoint ORDER BY metric.duration_bucket)
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
        metric.endpoint,
        metric.requests,
        metric.errors,
        metric.duration_microseconds::double precision / 1000 AS milliseconds
    FROM {{ schema }}.api_metrics({{ schema }}.window_start('1 hour')) AS metric
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
'How the endpoints of the shop answered in the last hour.';
COMMENT ON COLUMN {{ monitoring_schema }}.api_endpoint_health.endpoint IS
'Route, as given to log_api_request(); (none) when there was no request.';
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

-- object: views/system_health.sql sha256=8476f46df55500aa694f3a2c29f8b4459ceb56e70f138432f7028273114ed7b5
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
    rollup.age_seconds AS rollup_age_seconds
FROM {{ schema }}.cleanup_job_state() AS job
CROSS JOIN {{ schema }}.overdue_hold_totals() AS holds
CROSS JOIN pool
CROSS JOIN api
CROSS JOIN rollup;

COMMENT ON VIEW {{ monitoring_schema }}.system_health IS
'State of the machinery: one row.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_age_seconds IS
'Seconds since the last run of the cleanup began; since 1970 if there was none.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_failed IS '1 if it failed.';
COMMENT ON COLUMN {{ monitoring_schema }}.system_health.last_cleanup_duration_seconds IS
'How long it took, in seconds.';
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

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.system_health TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
