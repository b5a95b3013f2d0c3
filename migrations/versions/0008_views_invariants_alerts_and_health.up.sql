-- 0008: Views, invariants, alerts and health.
-- A template, frozen by `ticketdb revision`.

-- object: monitoring/count_violations.sql sha256=1aee019d28b8e0e885acc2569a1b62c51cfa0d8d0f30ec9975edc48c98ff3620
-- What must hold whatever happens, each as a count of what breaks it. Read by check_invariants(),
-- by verify, by the demo and by the tests. Every table is read once and hashed, in the order
-- written here: with the statistics of a quiet night the planner would compare every hold with
-- every seat.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.count_violations()
RETURNS TABLE (invariant text, violations bigint, description text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_mergejoin = off
SET join_collapse_limit = 1
SET jit = off
ROWS 13
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        'seats_claimed_once'::text AS invariant,
        count(*) AS violations,
        'Seats with more than one live claim.'::text AS description
    FROM (
        SELECT
        FROM {{ schema }}.reservation_seats AS claim
        WHERE claim.released_at IS NULL
        GROUP BY
            claim.show_id,
            claim.show_seat_id
        HAVING count(*) > 1
    ) AS seats
    UNION ALL
    SELECT
        'reserved_seats_have_their_hold',
        count(*),
        'Reserved seats whose reserved_by is not an active reservation with a live claim on them.'
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.status = 'reserved'
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.seat_reservations AS hold
            INNER JOIN {{ schema }}.reservation_seats AS claim
                ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
            WHERE
                hold.id = seat.reserved_by
                AND hold.show_id = seat.show_id
                AND hold.is_active
                AND claim.show_seat_id = seat.id
                AND claim.released_at IS NULL
        )
    UNION ALL
    SELECT
        'holds_have_their_seats',
        count(*),
        'Live claims of active reservations whose seat is not reserved by them until their expires_at.'
    FROM {{ schema }}.seat_reservations AS hold
    INNER JOIN {{ schema }}.reservation_seats AS claim
        ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
    INNER JOIN {{ schema }}.show_seats AS seat
        ON seat.id = claim.show_seat_id AND seat.show_id = claim.show_id
    WHERE
        hold.is_active
        AND claim.released_at IS NULL
        AND (seat.status, seat.reserved_by, seat.reserved_until)
        IS DISTINCT FROM ('reserved', hold.id, hold.expires_at)
    UNION ALL
    SELECT
        'holds_are_not_empty',
        count(*),
        'Active reservations without a live claim.'
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.is_active
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = hold.id
                AND claim.show_id = hold.show_id
                AND claim.released_at IS NULL
        )
    UNION ALL
    SELECT
        'ended_holds_claim_nothing',
        count(*),
        'Live claims of released or expired reservations.'
    FROM {{ schema }}.seat_reservations AS hold
    INNER JOIN {{ schema }}.reservation_seats AS claim
        ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
    WHERE
        hold.status IN ('released', 'expired')
        AND claim.released_at IS NULL
    UNION ALL
    SELECT
        'free_seats_are_not_claimed',
        count(*),
        'Available or blocked seats with a live claim.'
    FROM {{ schema }}.show_seats AS seat
    INNER JOIN {{ schema }}.reservation_seats AS claim
        ON claim.show_seat_id = seat.id AND claim.show_id = seat.show_id
    WHERE
        seat.status IN ('available', 'blocked')
        AND claim.released_at IS NULL
    UNION ALL
    SELECT
        'sold_seats_have_a_ticket',
        count(*),
        'Sold seats without a valid ticket, or without a live claim of a completed reservation.'
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.status = 'sold'
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.tickets AS ticket
            INNER JOIN {{ schema }}.ticket_orders AS paid
                ON paid.id = ticket.order_id AND paid.show_id = ticket.show_id
            INNER JOIN {{ schema }}.reservation_seats AS claim
                ON
                    claim.reservation_id = paid.reservation_id
                    AND claim.show_id = paid.show_id
                    AND claim.show_seat_id = ticket.show_seat_id
            INNER JOIN {{ schema }}.seat_reservations AS hold
                ON hold.id = claim.reservation_id AND hold.show_id = claim.show_id
            WHERE
                ticket.show_seat_id = seat.id
                AND ticket.show_id = seat.show_id
                AND ticket.status = 'valid'
                AND claim.released_at IS NULL
                AND hold.status = 'completed'
        )
    UNION ALL
    SELECT
        'tickets_have_their_seat',
        count(*),
        'Valid tickets whose seat is not sold, or whose order is not paid.'
    FROM {{ schema }}.tickets AS ticket
    INNER JOIN {{ schema }}.show_seats AS seat
        ON seat.id = ticket.show_seat_id AND seat.show_id = ticket.show_id
    INNER JOIN {{ schema }}.ticket_orders AS paid
        ON paid.id = ticket.order_id AND paid.show_id = ticket.show_id
    WHERE
        ticket.status = 'valid'
        AND (seat.status, paid.status) IS DISTINCT FROM ('sold', 'paid')
    UNION ALL
    SELECT
        'paid_orders_have_their_tickets',
        count(*),
        'Paid orders whose tickets are not those of their seats, or do not add up to their amount.'
    FROM {{ schema }}.ticket_orders AS paid
    LEFT JOIN (
        SELECT
            ticket.order_id,
            ticket.show_id,
            array_agg(ticket.show_seat_id ORDER BY ticket.show_seat_id) AS seat_ids,
            sum(ticket.price_in_cents) AS total
        FROM {{ schema }}.tickets AS ticket
        -- One that the house has cancelled was paid for all the same.
        WHERE ticket.status IN ('valid', 'cancelled')
        GROUP BY
            ticket.order_id,
            ticket.show_id
    ) AS issued ON issued.order_id = paid.id AND issued.show_id = paid.show_id
    WHERE
        paid.status = 'paid'
        AND (COALESCE(issued.seat_ids, '{}'), COALESCE(issued.total, 0))
        IS DISTINCT FROM (paid.seat_ids, paid.total_amount_in_cents::numeric)
    UNION ALL
    SELECT
        'completed_holds_were_paid',
        count(*),
        'Completed reservations without a paid or refunded order.'
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.status = 'completed'
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.ticket_orders AS paid
            WHERE
                paid.reservation_id = hold.id
                AND paid.show_id = hold.show_id
                AND paid.status IN ('paid', 'refunded')
        )
    UNION ALL
    SELECT
        'payments_bought_or_are_owed',
        count(*),
        'Payments that neither paid their order nor have a row of refunds.'
    FROM {{ schema }}.payment_events AS came
    WHERE
        came.kind = 'payment'
        AND came.amount_in_cents > 0
        AND (came.success, came.order_status) IS DISTINCT FROM (true, 'paid')
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.refunds AS owed
            WHERE
                owed.order_id = came.order_id
                AND owed.show_id = came.show_id
                AND owed.payment_provider = came.provider
                AND owed.payment_event_id = came.event_id
        )
    UNION ALL
    SELECT
        'refund_due_orders_are_owed',
        count(*),
        'Orders that are refund_due without a due row of refunds over their amount.'
    FROM {{ schema }}.ticket_orders AS unlucky
    WHERE
        unlucky.status = 'refund_due'
        AND unlucky.total_amount_in_cents > 0
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.refunds AS owed
            WHERE
                owed.order_id = unlucky.id
                AND owed.show_id = unlucky.show_id
                AND owed.status = 'due'
                AND owed.reason IN ('late_payment', 'show_cancelled')
                AND owed.amount_in_cents = unlucky.total_amount_in_cents
        )
    UNION ALL
    SELECT
        'refunds_add_up',
        count(*),
        'Orders whose refunded amount is not that of their refunds, or, refunded, not all of it.'
    FROM {{ schema }}.ticket_orders AS paid
    LEFT JOIN (
        SELECT
            done.order_id,
            done.show_id,
            sum(done.amount_in_cents) AS total
        FROM {{ schema }}.refunds AS done
        WHERE
            done.status = 'done'
            -- What came besides the payment of the order.
            AND done.reason NOT IN ('double_payment', 'amount_mismatch')
        GROUP BY
            done.order_id,
            done.show_id
    ) AS returned ON returned.order_id = paid.id AND returned.show_id = paid.show_id
    WHERE
        paid.refunded_amount_in_cents <> COALESCE(returned.total, 0)
        OR paid.status = 'refunded'
        AND paid.refunded_amount_in_cents <> paid.total_amount_in_cents;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.count_violations() IS
'Invariants and how many things break each, counted now: reads all seats and reservations.';

-- object: monitoring/invariant_checks.sql sha256=2dfde97a689643dc23d5c65c196bffc8029cca5b633e6bc3b44c552e3bb03038
-- What check_invariants() found last. Counting reads all seats and reservations, which is not for a
-- view that somebody polls.
CREATE TABLE {{ internal_schema }}.invariant_checks (
    invariant text NOT NULL,
    violations bigint NOT NULL,
    description text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT invariant_checks_pkey PRIMARY KEY (invariant),
    CONSTRAINT invariant_checks_checked_at_check CHECK (isfinite(checked_at))
);

COMMENT ON TABLE {{ internal_schema }}.invariant_checks IS
'The last result of check_invariants(), for the views invariant_violations and health.';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.invariant IS
'Name of the invariant, as in count_violations().';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.violations IS 'How many rows broke it.';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.description IS 'What is counted.';
COMMENT ON COLUMN {{ internal_schema }}.invariant_checks.checked_at IS 'When it was checked.';
COMMENT ON CONSTRAINT invariant_checks_pkey ON {{ internal_schema }}.invariant_checks IS
'One row an invariant.';
COMMENT ON CONSTRAINT invariant_checks_checked_at_check ON {{ internal_schema }}.invariant_checks IS
'Finite.';

-- object: monitoring/check_invariants.sql sha256=dea0c6761abda2acee8f7f627c3f8c58cc87ab8e7523040ebed004bdc88ea0e7
-- Scheduled. Also callable by hand, after something was mended.
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
        FROM {{ internal_schema }}.count_violations() AS now_found
    ),

    -- Those that an older release knew.
    forgotten AS (
        DELETE FROM {{ internal_schema }}.invariant_checks
        WHERE invariant_checks.invariant NOT IN (SELECT found.invariant FROM found)
    )

    INSERT INTO {{ internal_schema }}.invariant_checks (invariant, violations, description, checked_at)
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
    FROM {{ internal_schema }}.invariant_checks AS broken
    WHERE broken.violations > 0
    ORDER BY broken.invariant;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.check_invariants() IS
'Runs count_violations() and keeps what it says for the views invariant_violations and health; '
'returns the invariants that are broken.';

-- object: monitoring/first_check.sql sha256=b98620cf8c677eb89c1a4d6334bce87e303980350141814919b1a5df87af65b7
-- The view invariant_violations has a row for each invariant from the day of installation on; the
-- job goes on from there.
SELECT {{ internal_schema }}.check_invariants();

-- object: monitoring/invariant_violations.sql sha256=3891939df686d576ea2ed3b40665ef5cbac1d4d3440aa8bdf4bca73f6cf45f12
-- What check_invariants() found last. What is to be judged at once asks count_violations().
CREATE OR REPLACE VIEW {{ monitoring_schema }}.invariant_violations AS
SELECT
    checked.invariant,
    checked.violations,
    checked.description,
    GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        AS checked_age_seconds
FROM {{ internal_schema }}.invariant_checks AS checked;

COMMENT ON VIEW {{ monitoring_schema }}.invariant_violations IS
'One row per invariant of the tables, with the number of rows that broke it when '
'check_invariants() last counted, every ten minutes: 0 when healthy.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.invariant IS
'Name of the invariant.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.violations IS
'How many rows broke it.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.description IS 'What is counted.';
COMMENT ON COLUMN {{ monitoring_schema }}.invariant_violations.checked_age_seconds IS
'Seconds since it was counted.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.invariant_violations TO {{ monitor_role }};
{% endif %}

-- object: monitoring/active_reservation_totals.sql sha256=208ba1f1b997e24c6f8ae1f030bd4c799c8cc112efcdccf9f843a36c23c7e205
-- For the view active_reservations and the dashboards. A function, because the plan must not depend
-- on statistics of a quiet night: live holds are few, the tables are not.
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

COMMENT ON FUNCTION {{ internal_schema }}.active_reservation_totals() IS
'Holds that are not over, those of them that will be in two minutes, and the seats they hold. For '
'the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.active_reservation_totals() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/overdue_hold_totals.sql sha256=73acffc81d235fb0b607fd0f62b014c6a554d88e810d42306b63732eadc906b1
-- For cleanup_job_health: what the cleanup has left undone.
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
'Holds that are over and still active, and for how many seconds the oldest has been. For the '
'views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.overdue_hold_totals() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/cleanup_job_state.sql sha256=29519c1a1a3722400790df4a44b6e7c9ccebadac169aab3c324ef247d55d0cb3
-- For cleanup_job_health. What never happened is NULL, and has_run says so.
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
    FROM {{ internal_schema }}.cleanup_run_totals({{ internal_schema }}.window_start('24 hours')) AS totals;

    -- One that is running has not succeeded yet, and has not failed. Where the last ten are all
    -- running, queued or skipped, our own record has the one before.
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

COMMENT ON FUNCTION {{ internal_schema }}.cleanup_job_state() IS
'When the cleanup last ran and how it went, and whether anything will run it again. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_job_state() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/cleanup_job_problem.sql sha256=89c2f58195a6a3e7440f0560f880d250a7758df927f42e6191f201d87959a887
-- For the view health: pg_cron says that a connection failed, and not why. What follows a renamed
-- database, a dropped role or a new port can be seen from here. Few values: no ages, no numbers.
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

COMMENT ON FUNCTION {{ internal_schema }}.cleanup_job_problem() IS
'Why the cleanup does not run or failed when it last ran, in one sentence; NULL where nothing is '
'wrong. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.cleanup_job_problem() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/connections_by_state.sql sha256=00962e41226b204af23efc168c6aa6f7b6c3c50576b6a6fa193805e91f3ab18e
-- For connection_pool. Other people's connections tell their state only to members of
-- pg_read_all_stats: to the owner of this function, where it is one, and not to those who monitor.
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
        -- Background processes have no user, or are none of the clients.
        backend.usesysid IS NOT NULL
        AND COALESCE(backend.backend_type, 'client backend') = 'client backend'
) AS activity ON activity.state = states.state
GROUP BY states.state;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.connections_by_state() IS
'Connections of clients to this server, by state; "not visible" where the owner of the function '
'may not see it. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.connections_by_state() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/open_transactions.sql sha256=aad1cf1103dd29e4d1c78387dd40f22b11fff3e6d7f989fde1344788acdff1af
-- For health and lock_waits: who has a transaction open, and since when. No text of any statement:
-- that may name people. What other people's sessions do is told only to members of
-- pg_read_all_stats: to the owner of this function, where it is one.
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

COMMENT ON FUNCTION {{ internal_schema }}.open_transactions() IS
'Transactions that are open on this server, prepared ones included: role, state, whether in this '
'database, how many transactions have begun since it got its number (NULL while it has none), and '
'for how many seconds it has been open and idle. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.open_transactions() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/lock_wait_totals.sql sha256=ecdda714af29ab217662e94e0aea3020b45efbd1254401aa075d1e05f4c5b2e2
-- For lock_waits. Who waits for a lock and since when is seen by everybody in pg_locks, whatever
-- the owner of this function may see of sessions.
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

COMMENT ON FUNCTION {{ internal_schema }}.lock_wait_totals() IS
'Sessions of this database that wait for a lock, and for how many seconds the longest has. For the '
'views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.lock_wait_totals() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/due_refunds.sql sha256=b97b42373662817e0c8188641e0363fdf82a16a26a437daef94b7130bf6888c0
-- For refunds_due. A function, because what is due is found by its index, whatever the statistics.
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
'Money that is to be given back, by reason and currency: how many refunds, how much in the minor '
'unit, and for how many seconds the oldest has been due. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.due_refunds() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/partial_refunds.sql sha256=22b951800360c861bfb1ae1e87899d234a8cdd854b71a34bbfe7b0171a8eb391
-- For revenue_today: what has been given back of orders that are still paid. The rollup knows
-- orders by their status and amount; these few are found by an index of their own.
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
'Orders since p_since that are paid and of which a part was given back: when they were ordered, '
'and how much of them it was in the minor unit. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.partial_refunds(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: monitoring/rollup_state.sql sha256=4b0b0063f7655c954dc9ab6b355f9626a28a6c52527a9972f6969aa6945ff95f
-- For the views health and system_health. A rollup that runs and gets nowhere, because of an open
-- transaction, is told by what waits for it.
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
'For each log: whether it came with a dump of another server and has not been rolled up since, '
'seconds since the rollup last ran, and for how many seconds rows have waited for it to get on. '
'For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.rollup_state() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/log_partitions.sql sha256=ac86373a5bf58679ca6d4143a480f73a084fd6171a510d133a159f9fec7ef72f
-- For the view health, whose readers may not look into the partitions.
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
-- The bounds of partitions are printed by these, and read back.
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

        -- Not those from a clock that is wrong: no month is made for them.
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
'Up to when each log has partitions, whether its default partition has rows that '
'maintain_partitions() would move, and up to when its oldest month goes. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.log_partitions() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/maintenance_backlog.sql sha256=8f2b511e863d0eaf8a75fc4b76a3c2699a660e38b7a92787dfadb4591f8785e8
-- For the view health and an alert: what the jobs gave up behind somebody's lock, or never came to.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.maintenance_backlog()
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
        FROM {{ internal_schema }}.log_partitions() AS log
    )

    SELECT
        due.task,
        GREATEST(extract(EPOCH FROM now() - due.since), 0)::double precision
    FROM (
        -- The month that is missing was due when the one came that is as many months before it.
        SELECT
            'partitions of ' || log.log AS task,
            log.ends_at - age({{ internal_schema }}.log_horizon(), date_trunc('month', now()))
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

COMMENT ON FUNCTION {{ internal_schema }}.maintenance_backlog() IS
'What maintain_partitions() and purge_history() have to do, and for how many seconds it has been '
'due; 0 where there is nothing to do. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.maintenance_backlog() TO {{ monitor_role }};
{% endif %}

-- object: monitoring/reservation_success_rate.sql sha256=24046df9548775db3da40a05352cf7a398483d78476475c37c19da865312eef9
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

-- object: monitoring/double_booking_attempts.sql sha256=dbeb9ef2a7c4b91172940c422bfce3986c1a1ff2b2b734548473963ee77438f2
-- Metric 2. The constraints of the database should never have to step in.
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
'How often a constraint of the database prevented a double booking.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.time_window IS
'How far back: 5m, 15m, 1h or 24h.';
COMMENT ON COLUMN {{ monitoring_schema }}.double_booking_attempts.attempts IS
'Calls that a constraint stopped; should be 0.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.double_booking_attempts TO {{ monitor_role }};
{% endif %}

-- object: monitoring/reservation_expiration_rate.sql sha256=e28f178c20e8dab17dadb45a4f114d54d3320f4c35117869eb9bb863fd4f475a
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

-- object: monitoring/reservation_hold_time.sql sha256=6a9a94da7a6aff7efac1552461f97f0883928494c592f00d279c0ed3c7bd39f5
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

-- object: monitoring/cleanup_job_health.sql sha256=11b8e00a8533d477e2d58abc3d56474567f98a743e4392ca1c2c3df18895cc74
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
FROM {{ internal_schema }}.cleanup_job_state() AS job
CROSS JOIN {{ internal_schema }}.overdue_hold_totals() AS holds;

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

-- object: monitoring/active_reservations.sql sha256=c29f2e7aa8a4ee3be7cd2f9d9f92ccfe88e287330dcce17490aba27045093c9b
-- Metric 6. A hold that is over is none, cleaned up or not.
CREATE OR REPLACE VIEW {{ monitoring_schema }}.active_reservations AS
SELECT
    totals.active_reservations,
    totals.expiring_soon,
    totals.total_seats_held
FROM {{ internal_schema }}.active_reservation_totals() AS totals;

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

-- object: monitoring/payment_failures.sql sha256=21ea41938b2b01087414d8175c3e377e04247e15f14a7bc82beacf1207c57cd2
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

-- object: monitoring/revenue_today.sql sha256=cdd0bd9fcc25e54b5b39c324af55aaf9b0cfce7a9f0d7dba5926493ed04ae7ca
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
    CROSS JOIN
        LATERAL {{ internal_schema }}.order_metrics({{ internal_schema }}.window_start('26 hours'))
            AS metric
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

-- object: monitoring/realtime_dashboard.sql sha256=6d81b50fe74e67ba9e4aee21640b2b89a548d0c4d082f5a9e8389579438448b3
-- Dashboard 1, real-time operations.
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
FROM {{ internal_schema }}.active_reservation_totals() AS holds
CROSS JOIN {{ internal_schema }}.cleanup_job_state() AS job
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

-- object: monitoring/hourly_metrics.sql sha256=5a54029b880e6ca62ae885a13a95751133cb57d078f8bf6f6286b6542899ed0d
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

-- object: monitoring/top_errors.sql sha256=62b8c15854ea295ac6a954b460a9a99d3d5236dd1cf9fa7297d4e409d2349401
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
'The message; (no message) where a row has none, (none) when there was no error.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.occurrences IS 'How often.';
COMMENT ON COLUMN {{ monitoring_schema }}.top_errors.last_seen_age_seconds IS
'Seconds since the latest; 0 for one in the future.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.top_errors TO {{ monitor_role }};
{% endif %}

-- object: monitoring/extension_trends.sql sha256=2a00c9be81f2f3e2733265e8705aa2a526517dbdbe340cead7ecb9046f9d24d5
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
    FROM {{ internal_schema }}.extension_metrics(7) AS metric
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

-- object: monitoring/quality_dashboard.sql sha256=6715c4260a737b4c0da08b178611e98afcf03bb7a4a89cb68a96a6449863fb7f
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

-- object: monitoring/connection_pool.sql sha256=d53e9edf7b6185c13e6bb37f9691174c9289a3d5dc0f1c4910ac3cc3031ac92f
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
FROM {{ internal_schema }}.connections_by_state() AS pool
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

-- object: monitoring/lock_waits.sql sha256=84de8b5dc09e2a4e40c01765dfeed0909e13f01108f633cd01bb05c58d1499bc
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

-- object: monitoring/refunds_due.sql sha256=03f91ff8da25fa5bf3a590425f3ac1b8e47bd3a42849ba71d6cddab30acd28d3
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
LEFT JOIN {{ internal_schema }}.due_refunds() AS due ON true
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

-- object: monitoring/api_endpoint_health.sql sha256=a9100fff65fce69fc796888476f3bf28633edef7f40ad60b36e686dccb7d3024
-- Dashboard 3, how the endpoints of the shop answered in the last hour. Percentiles from
-- logarithmic buckets: what they say is within two percent of a request at that rank. The busiest
-- endpoints have their row, all others one together.
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
        -- The middle of the bucket, in the sense of ratios.
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

-- object: monitoring/system_health.sql sha256=f62bd1b7d68721cb92a84a5af0624999558d6b3539d967bf1b5e2eaeb28a18fd
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

-- object: monitoring/alert_rules.sql sha256=6075f2066420ee586c28e14b0db11d4ff5525fa54378dc83a6bdbc3572e0ff9f
-- When to wake somebody. A DBA changes thresholds with UPDATE; the view alerts goes by them at
-- once. Which number a rule is about is its name: see the view.
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
    -- As plugins of Nagios write it.
    CONSTRAINT alert_rules_unit_check CHECK (unit IN ('', 's', '%')),
    CONSTRAINT alert_rules_threshold_check
    CHECK (threshold > '-Infinity' AND threshold < 'Infinity'),
    -- The rollups are read by the minute, and a week is the longest that any dashboard looks back.
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
    'The cleanup of expired reservations failed, or has not run for this many seconds.',
    'Check the log of the database; run the cleanup by hand if needed.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'payment_processing_down', 'critical', '>', 20, '%', 900,
    'Payments fail, in percent of the orders of the last minutes.',
    'Check the status of the payment provider, verify API keys.',
    'docs/runbooks/payment-failures.md'
),
(
    'high_expiration_rate', 'warning', '>', 70, '%', 3600,
    'Reservations expire without a purchase, in percent of those created in the last hour.',
    'Review the checkout, check for errors in it.',
    'docs/runbooks/high-expiration-rate.md'
),
(
    'low_success_rate', 'warning', '<', 90, '%', 3600,
    'Attempts to reserve that succeed, in percent, legitimate conflicts left out.',
    'Review the error messages, check for systematic issues.',
    'docs/runbooks/high-reservation-failure-rate.md'
),
(
    'double_booking_attempts', 'warning', '>', 0, '', 86400,
    'A constraint of the database prevented double bookings within the last day.',
    'Find out what tried: application logic should prevent this.',
    'docs/runbooks/double-booking.md'
),
(
    'high_expiration_rate_24h', 'warning', '>', 80, '%', 86400,
    'Reservations expire without a purchase, in percent of those created in the last day.',
    'Review the flow of the checkout.',
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
    'The cleanup of expired reservations has not run for this many seconds.',
    'Check its scheduler.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_runs_failed', 'warning', '>', 0, '', 86400,
    'Runs of the cleanup failed within the last day.',
    'Read why in reservation_cleanup_job_status.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'cleanup_job_slow', 'warning', '>', 30, 's', 3600,
    'A run of the cleanup took this many seconds.',
    'See what it waited for, and whether holds had piled up.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'many_active_reservations', 'warning', '>', 1000, '', 0,
    'Seats are being held by this many customers at once.',
    'Plan for the capacity that this takes.',
    'docs/runbooks/many-active-reservations.md'
),
(
    'payment_failure_rate_24h', 'warning', '>', 5, '%', 86400,
    'Payments fail, in percent of the orders of the last day.',
    'Review declined payments with the provider.',
    'docs/runbooks/payment-failures.md'
),
(
    'extension_rate', 'info', '>', 50, '', 86400,
    'Extensions for every hundred reservations created in the last day.',
    'Consider longer holds, or a shorter checkout.',
    'docs/runbooks/extension-rate.md'
),
(
    'overdue_holds', 'critical', '>', 300, 's', 0,
    'Holds have been over for this many seconds and are not cleaned up, whatever its runs say.',
    'Run the cleanup by hand, and see what keeps it from these holds.',
    'docs/runbooks/cleanup-job-not-running.md'
),
(
    'no_payments', 'critical', '>', 1800, 's', 3600,
    'Orders were placed, and no payment of any kind has come for this many seconds.',
    'See whether the events of the payment provider reach the application.',
    'docs/runbooks/payment-failures.md'
),
(
    'refunds_overdue', 'warning', '>', 86400, 's', 0,
    'Money that is to be given back has been due for this many seconds.',
    'Give it back, and record that.',
    'docs/runbooks/refunds.md'
),
(
    'lock_waits', 'warning', '>', 30, 's', 0,
    'A session has waited for a lock for this many seconds.',
    'Find out who holds it, and end that transaction.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'long_transaction', 'warning', '>', 900, 's', 0,
    'A transaction has been open, or prepared, for this many seconds.',
    'Have its owner end it, or end it.',
    'docs/runbooks/locks-and-transactions.md'
),
(
    'rollup_late', 'warning', '>', 300, 's', 0,
    'What the dashboards count from is this many seconds behind, or came from another server.',
    'See whether the rollup runs, and which open transaction holds it back.',
    'docs/runbooks/metrics-rollup.md'
),
(
    'maintenance_behind', 'warning', '>', 172800, 's', 0,
    'Partitions or purges of the logs have been due for this many seconds.',
    'Run maintain_partitions() and purge_history(), and see what keeps them from it.',
    'docs/runbooks/partitions.md'
);

COMMENT ON TABLE {{ monitoring_schema }}.alert_rules IS
'Thresholds of the alerts. UPDATE them: the view alerts goes by them at once.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.alert_name IS
'Name of the alert, and what it is about.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.severity IS
'critical: respond immediately; warning: within the hour; info: daily review.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.comparison IS
'Whether it fires above the threshold (>) or below it (<).';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.threshold IS
'The bound, in the unit given. A value that is exactly there does not fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.unit IS
'Of the value and the threshold: s (seconds), % (percent), or nothing for a number.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.time_window_seconds IS
'How far back it looks, in seconds, rounded up to whole minutes; 0 for what is so right now.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.minimum_events IS
'For a rate or an average: of how many events there must be one, for it to mean anything.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.enabled IS 'Whether it may fire.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.summary IS 'What it means that it fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alert_rules.runbook IS
'Page that says more, as a path in the repository of ticketdb; put your own address here.';
COMMENT ON CONSTRAINT alert_rules_pkey ON {{ monitoring_schema }}.alert_rules IS
'One row an alert.';
COMMENT ON CONSTRAINT alert_rules_severity_check ON {{ monitoring_schema }}.alert_rules IS
'The severities there are.';
COMMENT ON CONSTRAINT alert_rules_comparison_check ON {{ monitoring_schema }}.alert_rules IS
'Above or below.';
COMMENT ON CONSTRAINT alert_rules_unit_check ON {{ monitoring_schema }}.alert_rules IS
'The units there are.';
COMMENT ON CONSTRAINT alert_rules_threshold_check ON {{ monitoring_schema }}.alert_rules IS
'A finite number.';
COMMENT ON CONSTRAINT alert_rules_time_window_seconds_check
ON {{ monitoring_schema }}.alert_rules IS
'At most a week.';
COMMENT ON CONSTRAINT alert_rules_minimum_events_check ON {{ monitoring_schema }}.alert_rules IS
'Not negative.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alert_rules TO {{ monitor_role }};
{% endif %}

-- object: monitoring/alert_rules_change_log.sql sha256=f8d6c8035df311cc43073769e832b596c8b642685c34153a38aeb24b7e9dcd44
-- Few, and changed by hand only: every change has its line.
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
'Logs each rule that is added by hand.';
COMMENT ON TRIGGER alert_rules_change_log_update ON {{ monitoring_schema }}.alert_rules IS
'Logs each change of a rule.';
COMMENT ON TRIGGER alert_rules_change_log_delete ON {{ monitoring_schema }}.alert_rules IS
'Logs each rule that is deleted.';

-- object: monitoring/alerts.sql sha256=41afd20373e04004380da9c4b8791c07894d2e9f031a116d08d259dd7efe33a6
-- One row a rule, always. What each is about is said here, once; when it fires is said by
-- alert_rules. The minutes are read once, for the longest window.
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

-- Orders for which nobody has even tried to pay since: the last payment of any kind came before.
-- From minute to minute, as the rollups tell them apart.
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
        -- Of rates and averages: of how many events.
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
            -- Of the holds themselves, whatever the runs say.
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
            -- What never happened has no age: it is too long ago for every threshold.
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

COMMENT ON VIEW {{ monitoring_schema }}.alerts IS
'The alerts: one row per rule, whether it fires or not.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.alert_name IS 'Name of the rule in alert_rules.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.severity IS 'critical, warning or info.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.firing IS '1 while it fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.value IS
'What it is about, in the unit given; NULL where there is nothing to divide by, and for the age of '
'what never happened.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.threshold IS 'The bound in alert_rules.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.time_window_seconds IS
'How far back it looks, in seconds; 0 for what is so right now.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.summary IS 'What it means that it fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.action IS 'What to do first.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.runbook IS 'Page that says more.';
COMMENT ON COLUMN {{ monitoring_schema }}.alerts.unit IS
'Of value and threshold: s, %, or nothing for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.alerts TO {{ monitor_role }};
{% endif %}

-- object: monitoring/health.sql sha256=cf98c112cf30462300c9f626173d584fa1857d1cfd324af7fa40fa0c3e7b1b85
-- What somebody on call wants to know first: one row a check, always, the worst of its findings.
-- Thresholds are those of alert_rules, where there is a rule. A message is one of a few, and the
-- number that goes with it has a column of its own: a message with a number in it would be another
-- label every minute.
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

-- Of this database, or with a number that holds back the rollup of every database.
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
                THEN 'holds that are over are not cleaned up'
            WHEN job.has_run = 0
                THEN format('scheduled with %s, and has not run yet', job.scheduler)
            WHEN job.last_run_failed = 1 THEN format('the last run, by %s, failed', job.scheduler)
            WHEN alert.alert_name = 'cleanup_job_slow' AND alert.firing = 1
                THEN format('a run by %s took too long', job.scheduler)
            WHEN alert.alert_name = 'cleanup_runs_failed' AND alert.firing = 1
                THEN 'runs have failed within a day'
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
            WHEN job.is_scheduled = 1 THEN 'the process of pg_cron is gone: restart the server'
            ELSE format('nothing has run the cleanup since %s: start it again', job.scheduler)
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
                        'which only members of pg_read_all_stats may see'
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
                THEN 'those of other roles are not visible: grant the owner pg_read_all_stats'
            ELSE 'none has been open for long'
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
            WHEN alert.firing = 1 THEN 'sessions wait for a lock: see who holds it'
            ELSE 'nobody waits for long'
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
            WHEN alert.firing = 1 THEN 'money has been due for too long: give it back'
            ELSE 'none has been due for long'
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
                    '%s has rows outside its months: run maintain_partitions()', partitions.log
                )
            ELSE 'partitions are there for the months to come'
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
            ELSE 'partitions are there for the months to come'
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
                    'not checked of late: run %I.check_invariants()',
                    {{ internal_schema | literal }}
                )
            ELSE 'all of them held'
        END,
        CASE
            WHEN checked.violations > 0 THEN checked.violations
            ELSE GREATEST(extract(EPOCH FROM now() - checked.checked_at)::double precision, 0)
        END,
        CASE WHEN checked.violations > 0 THEN '' ELSE 's' END
    FROM {{ internal_schema }}.invariant_checks AS checked
    UNION ALL
    SELECT
        'invariants' AS check_name,
        3,
        format('never checked: run %I.check_invariants()', {{ internal_schema | literal }})
            AS message,
        NULL::double precision,
        's' AS unit
    WHERE NOT EXISTS (SELECT FROM {{ internal_schema }}.invariant_checks)
    UNION ALL
    SELECT
        'connections' AS check_name,
        CASE
            WHEN pool.used_pct > 95 THEN 2
            WHEN pool.used_pct > 80 THEN 1
            ELSE 0
        END,
        CASE
            WHEN pool.used_pct > 95 THEN 'hardly any connection is left'
            WHEN pool.used_pct > 80 THEN 'few connections are left'
            ELSE 'connections are left'
        END,
        pool.used_pct,
        '%' AS unit
    FROM (
        SELECT
            100.0::double precision * sum(by_state.connections)
            -- The last ones are not for everybody.
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
'State of the installation: one row per check, always.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.check_name IS
'alerts, cleanup, rollup, partitions, invariants, connections, locks, transactions, refunds.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.status IS 'OK, WARNING, CRITICAL or UNKNOWN.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.severity IS '0, 1, 2 or 3, as Nagios counts them.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.message IS
'What was found, and what to do: one of a few sentences, without numbers.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.value IS
'The number that goes with the message, in the unit given: how old the last run is, how far '
'behind, how many alerts fire or rows are wrong; NULL where it never happened, or nothing fires.';
COMMENT ON COLUMN {{ monitoring_schema }}.health.unit IS
'Of the value: s, %, or nothing for a number.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ monitoring_schema }}.health TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
