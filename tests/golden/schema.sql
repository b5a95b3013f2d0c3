--
-- PostgreSQL database dump
--



SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: monitoring; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA monitoring;


--
-- Name: SCHEMA monitoring; Type: COMMENT; Schema: -; Owner: -
--

COMMENT ON SCHEMA monitoring IS 'ticketdb: views for dashboards and alerts. Read-only, aggregated, free of personal data.';


--
-- Name: active_reservation_totals(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.active_reservation_totals(OUT active_reservations bigint, OUT expiring_soon bigint, OUT total_seats_held bigint) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    AS $$
BEGIN
    SELECT
        count(*),
        count(*) FILTER (WHERE hold.expires_at < now() + interval '2 minutes'),
        COALESCE(sum(claims.seats), 0)::bigint
    INTO
        active_reservations,
        expiring_soon,
        total_seats_held
    FROM "public".seat_reservations AS hold
    CROSS JOIN LATERAL (
        -- FILTER and not WHERE: claims are to be found by their reservation, not by the index of
        -- all live ones.
        SELECT count(*) FILTER (WHERE claim.released_at IS NULL) AS seats
        FROM "public".reservation_seats AS claim
        WHERE
            claim.reservation_id = hold.id
            AND claim.show_id = hold.show_id
    ) AS claims
    WHERE
        hold.is_active
        AND hold.expires_at > now();
END;
$$;


--
-- Name: FUNCTION active_reservation_totals(OUT active_reservations bigint, OUT expiring_soon bigint, OUT total_seats_held bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.active_reservation_totals(OUT active_reservations bigint, OUT expiring_soon bigint, OUT total_seats_held bigint) IS 'Holds that are not over, those of them that will be in two minutes, and the seats they hold. For the views.';


--
-- Name: adopt_restored_log(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.adopt_restored_log(p_log text) RETURNS bigint
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '1s'
    AS $_$
DECLARE
    v_schema constant text := 'public';
    v_mark "public".metric_watermarks;
    v_last_id bigint;
    v_folded bigint;
BEGIN
    SELECT mark.* INTO v_mark FROM "public".metric_watermarks AS mark WHERE mark.log = p_log;
    -- Nobody is in the middle of writing: all rows up to the last id are seen, or never will be.
    EXECUTE format('LOCK TABLE %I.%I IN SHARE MODE', v_schema, p_log);
    EXECUTE format('SELECT COALESCE(max(event.id), 0) FROM %I.%I AS event', v_schema, p_log)
    INTO v_last_id;
    EXECUTE format(
        'SELECT count(*) FROM %I.%I AS event '
        'WHERE (event.xact_id >= $1 AND event.id > $2) OR event.id > $3',
        v_schema, p_log
    )
    INTO v_folded
    USING v_mark.watermark, v_mark.restored_id, v_mark.last_folded_id;

    PERFORM "public".fold_events(
        p_log, v_mark.watermark, '18446744073709551615'::xid8, v_mark.restored_id
    );
    PERFORM "public".fold_events(
        p_log, '0'::xid8, v_mark.watermark, v_mark.last_folded_id
    );
    UPDATE "public".metric_watermarks
    SET
        watermark = pg_snapshot_xmin(pg_current_snapshot()),
        last_folded_id = v_last_id,
        restored_id = v_last_id,
        system_identifier = "public".system_identifier(),
        rolled_up_at = clock_timestamp(),
        advanced_at = clock_timestamp()
    WHERE metric_watermarks.log = p_log;
    RETURN v_folded;
END;
$_$;


--
-- Name: FUNCTION adopt_restored_log(p_log text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.adopt_restored_log(p_log text) IS 'Makes the rollup of a log that came with a dump of another server go on from here; returns how many rows were not in it yet. Locks the log against writers for a moment. Internal.';


--
-- Name: api_durations(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.api_durations(p_since timestamp with time zone) RETURNS TABLE(endpoint text, duration_bucket smallint, requests bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        counted.endpoint,
        counted.duration_bucket,
        sum(counted.requests)::bigint
    FROM (
        SELECT
            rolled_up.endpoint,
            rolled_up.duration_bucket,
            rolled_up.requests
        FROM "public".api_duration_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT
            recent.endpoint,
            recent.duration_bucket,
            recent.requests
        FROM "public".log_tail('api_request_log') AS tail
        CROSS JOIN LATERAL "public".api_request_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS counted
    GROUP BY
        counted.endpoint,
        counted.duration_bucket;
END;
$$;


--
-- Name: FUNCTION api_durations(p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.api_durations(p_since timestamp with time zone) IS 'Requests from p_since on, a row for each endpoint and bucket of durations: up to duration_bucket_growth() ^ bucket milliseconds.';


--
-- Name: api_metrics(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.api_metrics(p_since timestamp with time zone) RETURNS TABLE(endpoint text, requests bigint, errors bigint, duration_microseconds bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        counted.endpoint,
        sum(counted.requests)::bigint,
        sum(counted.errors)::bigint,
        sum(counted.duration_microseconds)::bigint
    FROM (
        SELECT
            rolled_up.endpoint,
            rolled_up.requests,
            rolled_up.errors,
            rolled_up.duration_microseconds
        FROM "public".api_request_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT
            recent.endpoint,
            recent.requests,
            recent.errors,
            recent.duration_microseconds
        FROM "public".log_tail('api_request_log') AS tail
        CROSS JOIN LATERAL "public".api_request_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS counted
    GROUP BY counted.endpoint;
END;
$$;


--
-- Name: FUNCTION api_metrics(p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.api_metrics(p_since timestamp with time zone) IS 'Requests from p_since on, a row for each endpoint.';


--
-- Name: api_request_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.api_request_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS TABLE(minute timestamp with time zone, endpoint text, duration_bucket smallint, requests bigint, errors bigint, duration_microseconds bigint)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
        event.endpoint,
        -- From a microsecond to eleven days.
        ceil(
            ln(LEAST(GREATEST(event.duration_ms, 0.001), 1e9))
            / ln("public".duration_bucket_growth())
        )::smallint
        AS duration_bucket,
        count(*),
        count(*) FILTER (WHERE event.status_code >= 500),
        round(sum(LEAST(event.duration_ms, 1e9)) * 1000)::bigint
    FROM "public".api_request_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
    GROUP BY
        minute,
        event.endpoint,
        duration_bucket;
END;
$$;


--
-- Name: FUNCTION api_request_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.api_request_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Requests a minute, endpoint and logarithmic bucket of durations, of the transactions from p_from to below p_below, rows beyond p_after_id. Internal.';


--
-- Name: audit_seat_reservation(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_seat_reservation() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_event_type text := CASE WHEN NEW.status = 'active' THEN 'created' ELSE NEW.status END;
    v_hold_seconds double precision;
    v_metadata jsonb := '{}'::jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.status = OLD.status THEN
            v_event_type := 'extended';
        ELSIF OLD.status = 'expired' AND NEW.status = 'completed' THEN
            -- Sold after it was over: that hold ended, and was counted, when it expired.
            v_metadata := '{"late": true}'::jsonb;
        ELSIF NEW.ended_at IS NOT NULL THEN
            -- Not negative, should the clock have been set back.
            v_hold_seconds := GREATEST(
                0, extract(EPOCH FROM NEW.ended_at - NEW.created_at)::double precision
            );
        END IF;
    END IF;

    -- Claims are written before, and released after, the row that this is about: the live ones are
    -- those it concerns. FILTER and not WHERE: they are to be found by their reservation, not by
    -- the index of all live claims.
    INSERT INTO "public".seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids, user_agent,
        ip_address, metadata, hold_seconds
    )
    SELECT
        v_event_type,
        NEW.id,
        NEW.show_id,
        NEW.session_id,
        count(*) FILTER (WHERE claim.released_at IS NULL),
        COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'),
        NEW.user_agent,
        NEW.ip_address,
        v_metadata,
        v_hold_seconds
    FROM "public".reservation_seats AS claim
    WHERE
        claim.reservation_id = NEW.id
        AND claim.show_id = NEW.show_id;
    RETURN NULL;
END;
$$;


--
-- Name: FUNCTION audit_seat_reservation(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.audit_seat_reservation() IS 'Trigger: writes what happened to a hold into seat_reservation_audit_log.';


--
-- Name: audit_ticket_order(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.audit_ticket_order() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO "public".ticket_order_audit_log (
        order_id, reservation_id, show_id, old_status, new_status, amount_in_cents, currency,
        seat_count, payment_provider, order_created_at, error_message
    )
    VALUES (
        NEW.id,
        NEW.reservation_id,
        NEW.show_id,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END,
        NEW.status,
        NEW.total_amount_in_cents,
        NEW.currency,
        cardinality(NEW.seat_ids),
        NEW.payment_provider,
        NEW.created_at,
        -- The order keeps the words of its last failure; the line of a later success is none.
        CASE WHEN NEW.status = 'failed' THEN NEW.error_message END
    );
    RETURN NULL;
END;
$$;


--
-- Name: FUNCTION audit_ticket_order(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.audit_ticket_order() IS 'Trigger: writes each change of status of an order into ticket_order_audit_log.';


--
-- Name: can_use_pg_cron(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.can_use_pg_cron() RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
SELECT
    EXISTS (
        SELECT
        FROM pg_extension AS extension
        INNER JOIN pg_namespace AS namespace ON namespace.nspname = 'cron'
        WHERE
            extension.extname = 'pg_cron'
            AND has_schema_privilege(namespace.oid, 'USAGE')
    );
$$;


--
-- Name: FUNCTION can_use_pg_cron(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.can_use_pg_cron() IS 'Whether pg_cron is installed in this database and its schema is open to the caller.';


--
-- Name: cancel_dead_orders(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cancel_dead_orders(p_limit integer) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET lock_timeout TO '100ms'
    AS $$
DECLARE
    v_dead_before timestamptz;
    v_ids uuid[];
    v_show_ids uuid[];
BEGIN
    SELECT now() - make_interval(mins => settings.order_minutes)
    INTO v_dead_before
    FROM "public".ticketing_settings AS settings;

    -- Whoever brings an expired hold back to life, for a payment that comes late, changes its order.
    SELECT
        array_agg(dead.id),
        array_agg(dead.show_id)
    INTO
        v_ids,
        v_show_ids
    FROM (
        SELECT
            waiting.id,
            waiting.show_id
        FROM "public".ticket_orders AS waiting
        INNER JOIN "public".seat_reservations AS hold
            ON hold.id = waiting.reservation_id AND hold.show_id = waiting.show_id
        WHERE
            waiting.status = 'pending'
            AND waiting.created_at <= v_dead_before
            AND hold.status = 'expired'
            AND hold.ended_at <= v_dead_before
        ORDER BY
            waiting.created_at,
            waiting.id
        LIMIT p_limit
        FOR UPDATE OF waiting SKIP LOCKED
    ) AS dead;

    UPDATE "public".ticket_orders
    SET
        status = 'cancelled',
        cancel_reason = 'overdue'
    FROM unnest(v_ids, v_show_ids) AS dead (id, show_id)
    WHERE
        ticket_orders.id = dead.id
        AND ticket_orders.show_id = dead.show_id;
    RETURN COALESCE(cardinality(v_ids), 0);
END;
$$;


--
-- Name: FUNCTION cancel_dead_orders(p_limit integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.cancel_dead_orders(p_limit integer) IS 'Cancels at most p_limit orders that have been waiting for a payment for order_minutes since their hold expired, leaves out those that somebody has locked, and returns how many. Internal.';


--
-- Name: check_invariants(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.check_invariants() RETURNS TABLE(broken_invariant text, found_violations bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    WITH found AS MATERIALIZED (
        SELECT
            now_found.invariant,
            now_found.violations,
            now_found.description
        FROM "public".count_violations() AS now_found
    ),

    -- Those that an older release knew.
    forgotten AS (
        DELETE FROM "public".invariant_checks
        WHERE invariant_checks.invariant NOT IN (SELECT found.invariant FROM found)
    )

    INSERT INTO "public".invariant_checks (invariant, violations, description, checked_at)
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
    FROM "public".invariant_checks AS broken
    WHERE broken.violations > 0
    ORDER BY broken.invariant;
END;
$$;


--
-- Name: FUNCTION check_invariants(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.check_invariants() IS 'Runs count_violations() and keeps what it says for the views invariant_violations and health; returns the invariants that are broken.';


--
-- Name: cleanup_expired_seat_reservations(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cleanup_expired_seat_reservations(p_batch_size integer DEFAULT 5000, OUT total_reservations_expired integer, OUT total_seats_released integer, OUT reservation_ids uuid[]) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_portion record;
    v_ended record;
    v_after_expires_at timestamptz := '-infinity'::timestamptz;
    v_after_id uuid := '00000000-0000-0000-0000-000000000000'::uuid;
    v_error text;
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
            FROM "public".overdue_holds(
                p_batch_size - total_reservations_expired, p_batch_size,
                v_after_expires_at, v_after_id
            ) AS portion
        LOOP
            v_ended := "public".end_overdue_holds(
                v_portion.show_id, v_portion.reservation_ids
            );
            -- Cancelled, or to be tried again by the caller.
            IF v_ended.error_code IN ('57014', '40001') THEN
                RAISE EXCEPTION '%', v_ended.error_message USING ERRCODE = v_ended.error_code;
            END IF;
            v_error := COALESCE(v_error, v_ended.error_message);
            reservation_ids := reservation_ids || v_ended.ended_ids;
            total_seats_released := total_seats_released + v_ended.seats_released;
            v_after_expires_at := v_portion.last_expires_at;
            v_after_id := v_portion.last_id;
        END LOOP;
        EXIT WHEN NOT FOUND;
        total_reservations_expired := cardinality(reservation_ids);
    END LOOP;
    IF v_error IS NOT NULL THEN
        RAISE WARNING 'Some holds could not be ended: %', v_error;
    END IF;
END;
$$;


--
-- Name: FUNCTION cleanup_expired_seat_reservations(p_batch_size integer, OUT total_reservations_expired integer, OUT total_seats_released integer, OUT reservation_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.cleanup_expired_seat_reservations(p_batch_size integer, OUT total_reservations_expired integer, OUT total_seats_released integer, OUT reservation_ids uuid[]) IS 'Ends at most p_batch_size holds that are over and frees their seats; skips what somebody has locked, a hold or a seat, and what cannot be ended, with a warning. Returns how many holds and seats, and which holds.';


--
-- Name: cleanup_job_problem(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cleanup_job_problem() RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    v_last record;
    v_job record;
BEGIN
    SELECT run.*
    INTO v_last
    FROM "public".reservation_cleanup_job_runs() WITH ORDINALITY AS run
    WHERE run.status IN ('succeeded', 'failed')
    ORDER BY run.ordinality
    LIMIT 1;

    IF "public".can_use_pg_cron() THEN
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
                FROM "public".scheduled_jobs() AS jobs
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
$_$;


--
-- Name: FUNCTION cleanup_job_problem(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.cleanup_job_problem() IS 'Why the cleanup does not run or failed when it last ran, in one sentence; NULL where nothing is wrong. For the view health.';


--
-- Name: cleanup_job_state(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cleanup_job_state(OUT scheduler text, OUT last_run_age_seconds double precision, OUT last_run_duration_seconds double precision, OUT last_run_failed boolean, OUT failed_runs_24h bigint, OUT runs_24h bigint, OUT is_scheduled boolean, OUT scheduler_alive boolean, OUT has_run boolean, OUT skipped_runs_24h bigint, OUT longest_run_seconds double precision) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET enable_seqscan TO 'off'
    AS $_$
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
    FROM "public".cleanup_run_totals("public".window_start('24 hours')) AS totals;

    -- One that is running has not succeeded yet, and has not failed. Where the last ten are all
    -- running, queued or skipped, our own record has the one before.
    FOR v_last IN
        SELECT
            run.status,
            run.start_time,
            run.end_time,
            run.scheduler,
            run.ordinality
        FROM "public".reservation_cleanup_job_runs() WITH ORDINALITY AS run
        WHERE run.status IN ('succeeded', 'failed')
        UNION ALL
        (
            SELECT
                run.status,
                run.started_at,
                run.finished_at,
                run.scheduler,
                NULL
            FROM "public".reservation_cleanup_runs AS run
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
    IF "public".can_use_pg_cron() THEN
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
        USING 'cleanup-expired-reservations';
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
        FROM "monitoring".alert_rules AS rule
        WHERE rule.alert_name = 'cleanup_job_silent';
        scheduler_alive := COALESCE(scheduler_alive, false);
    END IF;
END;
$_$;


--
-- Name: FUNCTION cleanup_job_state(OUT scheduler text, OUT last_run_age_seconds double precision, OUT last_run_duration_seconds double precision, OUT last_run_failed boolean, OUT failed_runs_24h bigint, OUT runs_24h bigint, OUT is_scheduled boolean, OUT scheduler_alive boolean, OUT has_run boolean, OUT skipped_runs_24h bigint, OUT longest_run_seconds double precision); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.cleanup_job_state(OUT scheduler text, OUT last_run_age_seconds double precision, OUT last_run_duration_seconds double precision, OUT last_run_failed boolean, OUT failed_runs_24h bigint, OUT runs_24h bigint, OUT is_scheduled boolean, OUT scheduler_alive boolean, OUT has_run boolean, OUT skipped_runs_24h bigint, OUT longest_run_seconds double precision) IS 'When the cleanup last ran and how it went, and whether anything will run it again. For the views.';


--
-- Name: cleanup_run_totals(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cleanup_run_totals(p_since timestamp with time zone, OUT runs bigint, OUT failed_runs bigint, OUT skipped_runs bigint, OUT longest_run_seconds double precision, OUT last_start_time timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
BEGIN
    SELECT
        count(*) FILTER (WHERE run.status IN ('succeeded', 'failed')),
        count(*) FILTER (WHERE run.status = 'failed'),
        count(*) FILTER (WHERE run.status = 'skipped'),
        GREATEST(
            max(extract(EPOCH FROM COALESCE(run.end_time, now()) - run.start_time)), 0
        )::double precision,
        (
            array_agg(run.start_time ORDER BY run.ordinality) FILTER (
                WHERE run.status IN ('succeeded', 'failed') AND run.start_time IS NOT NULL
            )
        )[1]
    INTO
        runs,
        failed_runs,
        skipped_runs,
        longest_run_seconds,
        last_start_time
    FROM "public".reservation_cleanup_job_runs(NULL, p_since) WITH ORDINALITY AS run;
END;
$$;


--
-- Name: FUNCTION cleanup_run_totals(p_since timestamp with time zone, OUT runs bigint, OUT failed_runs bigint, OUT skipped_runs bigint, OUT longest_run_seconds double precision, OUT last_start_time timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.cleanup_run_totals(p_since timestamp with time zone, OUT runs bigint, OUT failed_runs bigint, OUT skipped_runs bigint, OUT longest_run_seconds double precision, OUT last_start_time timestamp with time zone) IS 'How many runs of the cleanup ended at or after this time, how many of them failed, how many others were skipped, how many seconds the longest took, one that is at work included, and when the last of those that ended began. For the views.';


--
-- Name: commit_durably(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.commit_durably() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    -- A SET clause would be undone when the function ends, which is before the commit.
    IF current_setting('synchronous_commit') IN ('off', 'local') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END;
$$;


--
-- Name: FUNCTION commit_durably(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.commit_durably() IS 'Raises synchronous_commit to on until the end of the transaction, where it is off or local. Internal.';


--
-- Name: confirm_payment(uuid, uuid, text, text, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.confirm_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_amount_in_cents bigint) RETURNS TABLE(success boolean, order_id uuid, status text, ticket_ids uuid[], error_code text, error_message text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would be looked up, and waited for, before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_seat_count integer;
    v_hold_status text;
    v_is_held boolean;
    v_is_cancelled boolean;
    v_event record;
    v_is_sellable boolean;
    -- Why an attempt to sell has failed.
    v_failure text;
    v_constraint text;
    v_seats bigint;
    v_payment_intent_id text;
    v_refund_reason text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    PERFORM "public".commit_durably();
    LOOP
        ticket_ids := '{}';
        v_is_sellable := false;
        IF COALESCE(p_provider, '') !~ '[^[:space:]]'
            OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
            OR GREATEST(length(p_provider), length(p_event_id)) > 200
        THEN
            error_code := 'INVALID_INPUT';
            EXIT;
        END IF;

        BEGIN
            v_now := clock_timestamp();
            v_order := "public".lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            status := v_order.status;
            SELECT seen.*
            INTO v_event
            FROM "public".payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'payment'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.amount_in_cents IS DISTINCT FROM p_amount_in_cents
                AND v_event.event_id IS NOT NULL
            THEN
                error_code := 'EVENT_MISMATCH';
                EXIT;
            ELSIF v_event.event_id IS NOT NULL THEN
                success := v_event.success;
                order_id := v_event.order_id;
                status := v_event.order_status;
                ticket_ids := v_event.ticket_ids;
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                -- Not stored: the order may be committed a moment later, and the provider will ask
                -- again.
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN p_amount_in_cents IS DISTINCT FROM v_order.total_amount_in_cents
                    THEN 'AMOUNT_MISMATCH'
                WHEN v_order.status NOT IN ('pending', 'failed', 'cancelled')
                    THEN 'ORDER_NOT_PAYABLE'
            END;
            EXIT WHEN error_code = 'NOT_FOUND';

            IF error_code IS NULL THEN
                SELECT
                    hold.status,
                    hold.status = 'active' AND hold.expires_at > v_now AS is_held,
                    show.status = 'cancelled' AS is_cancelled
                INTO
                    v_hold_status,
                    v_is_held,
                    v_is_cancelled
                FROM "public".seat_reservations AS hold
                INNER JOIN "public".shows AS show ON show.id = hold.show_id
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = v_order.reservation_id;

                IF v_failure IS NOT NULL
                    OR v_is_cancelled
                    -- Seats that were given back, or paid for by another order of the hold.
                    OR v_order.status = 'cancelled'
                    AND v_order.cancel_reason IS DISTINCT FROM 'overdue'
                THEN
                    v_is_sellable := false;
                ELSIF v_is_held THEN
                    v_is_sellable := true;
                    PERFORM
                    FROM "public".show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(v_order.seat_ids)
                    ORDER BY seat.id
                    FOR UPDATE;
                ELSE
                    v_is_sellable := v_hold_status IN ('active', 'expired')
                        AND "public".retake_seats(
                            p_show_id, v_order.reservation_id, v_order.seat_ids
                        );
                END IF;

                IF v_is_sellable THEN
                    UPDATE "public".seat_reservations
                    SET
                        status = 'completed',
                        ended_at = v_now
                    WHERE
                        seat_reservations.show_id = p_show_id
                        AND seat_reservations.id = v_order.reservation_id;

                    -- Nothing is sold but what this hold has, whatever became of it by hand.
                    UPDATE "public".show_seats
                    SET
                        status = 'sold',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = p_show_id
                        AND show_seats.id = ANY(v_order.seat_ids)
                        AND CASE
                            WHEN v_is_held THEN show_seats.reserved_by = v_order.reservation_id
                            ELSE show_seats.status = 'available'
                        END;
                    GET DIAGNOSTICS v_seats = ROW_COUNT;

                    WITH issued AS (
                        INSERT INTO "public".tickets (
                            show_id, order_id, show_seat_id, price_in_cents, currency
                        )
                        SELECT
                            p_show_id,
                            v_order.id,
                            claim.show_seat_id,
                            claim.price_in_cents,
                            claim.currency
                        FROM "public".reservation_seats AS claim
                        WHERE
                            claim.reservation_id = v_order.reservation_id
                            AND claim.show_seat_id = ANY(v_order.seat_ids)
                            AND claim.show_id = p_show_id
                            -- Live ones, said so that the index of all live claims does not apply.
                            AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                        RETURNING tickets.id
                    )

                    SELECT COALESCE(array_agg(issued.id ORDER BY issued.id), '{}')
                    INTO ticket_ids
                    FROM issued;

                    IF LEAST(v_seats, cardinality(ticket_ids)) < cardinality(v_order.seat_ids) THEN
                        RAISE EXCEPTION 'the reservation does not have all seats of its order'
                        USING ERRCODE = 'integrity_constraint_violation';
                    END IF;

                    -- An earlier attempt for the same seats, should its money come too, will be
                    -- refund_due.
                    UPDATE "public".ticket_orders
                    SET
                        status = 'cancelled',
                        cancel_reason = 'superseded'
                    WHERE
                        ticket_orders.reservation_id = v_order.reservation_id
                        AND ticket_orders.show_id = p_show_id
                        AND ticket_orders.status IN ('pending', 'failed')
                        AND ticket_orders.id <> v_order.id;
                END IF;

                -- The payment that this event is about: named by it, or the last that was begun
                -- with this provider, or known by the event alone.
                SELECT named.payment_intent_id
                INTO v_payment_intent_id
                FROM (
                    SELECT
                        v_order.payment_intent_id,
                        v_order.payment_provider,
                        'infinity'::timestamptz AS created_at
                    UNION ALL
                    SELECT
                        earlier.payment_intent_id,
                        NULLIF(earlier.payment_provider, ''),
                        earlier.created_at
                    FROM "public".payment_intents AS earlier
                    WHERE
                        earlier.order_id = v_order.id
                        AND earlier.show_id = p_show_id
                ) AS named
                WHERE
                    named.payment_intent_id IS NOT NULL
                    AND COALESCE(named.payment_provider, p_provider) = p_provider
                ORDER BY
                    named.payment_intent_id = p_event_id DESC,
                    named.created_at DESC
                LIMIT 1;
                v_payment_intent_id := COALESCE(v_payment_intent_id, p_event_id);
                IF (v_order.payment_intent_id, COALESCE(v_order.payment_provider, p_provider))
                    IS DISTINCT FROM (v_payment_intent_id, p_provider)
                THEN
                    PERFORM "public".remember_payment_intent(
                        p_show_id, v_order.id, v_order.payment_provider, v_order.payment_intent_id
                    );
                END IF;

                status := CASE WHEN v_is_sellable THEN 'paid' ELSE 'refund_due' END;
                UPDATE "public".ticket_orders
                SET
                    status = confirm_payment.status,
                    paid_at = now(),
                    payment_provider = p_provider,
                    payment_intent_id = v_payment_intent_id
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;

            INSERT INTO "public".payment_events (
                provider, event_id, show_id, order_id, kind, amount_in_cents, success,
                order_status, ticket_ids, error_code, error_message
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'payment', p_amount_in_cents,
                error_code IS NULL, status, ticket_ids, error_code,
                "public".error_message(error_code)
            );

            v_refund_reason := CASE
                WHEN error_code = 'AMOUNT_MISMATCH' THEN 'amount_mismatch'
                WHEN error_code = 'ORDER_NOT_PAYABLE' THEN 'double_payment'
                WHEN v_is_sellable THEN NULL
                WHEN v_is_cancelled THEN 'show_cancelled'
                ELSE 'late_payment'
            END;
            IF v_refund_reason IS NOT NULL AND p_amount_in_cents > 0 THEN
                INSERT INTO "public".refunds (
                    show_id, order_id, amount_in_cents, currency, reason, payment_provider,
                    payment_event_id
                )
                VALUES (
                    p_show_id, v_order.id, p_amount_in_cents, v_order.currency, v_refund_reason,
                    p_provider, p_event_id
                );
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT "public".wait_for_others(v_since, v_seat_count) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'payment_events_pkey' THEN
                    -- Only where the snapshot is older than our lock, and the event came between.
                    RAISE EXCEPTION 'the event has come since the transaction began'
                    USING ERRCODE = 'serialization_failure';
                END IF;
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                IF left(SQLSTATE, 2) = '23' AND v_is_sellable THEN
                    -- The seats cannot be sold. The money is here all the same: once more, to
                    -- record it as owed.
                    v_failure := CASE
                        WHEN SQLSTATE = '23000' THEN 'SEATS_UNAVAILABLE'
                        WHEN v_constraint IN (
                            'tickets_one_valid_per_seat', 'reservation_seats_no_double_booking'
                        ) THEN 'DOUBLE_BOOKING_PREVENTED'
                        ELSE 'INTERNAL_ERROR'
                    END;
                ELSE
                    -- The event is not stored, so the provider's next attempt starts afresh.
                    error_code := 'INTERNAL_ERROR';
                    EXIT;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        IF NOT v_has_waited THEN
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF error_code IN ('BUSY', 'INTERNAL_ERROR') THEN
            status := v_old_status;
            ticket_ids := '{}';
        END IF;
        error_message := "public".error_message(error_code);
        PERFORM "public".log_order_failure(
            'confirm_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    ELSIF v_failure IS NOT NULL THEN
        -- The answer is no error, and yet somebody has to know what should not have come to this.
        PERFORM "public".log_order_failure(
            'confirm_payment', v_failure, "public".error_message(v_failure), p_show_id,
            p_order_id, v_reservation_id, p_old_status => v_old_status,
            p_amount_in_cents => p_amount_in_cents, p_payment_provider => p_provider,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$$;


--
-- Name: FUNCTION confirm_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_amount_in_cents bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.confirm_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_amount_in_cents bigint) IS 'Records a payment, in the minor unit of the currency of the order, and issues tickets; status refund_due when the seats are gone. Money that buys no tickets becomes a row of refunds. Repeating an event returns the first answer; for another order it is another payment. Error codes: NOT_FOUND, AMOUNT_MISMATCH, ORDER_NOT_PAYABLE, EVENT_MISMATCH (the event came with another amount), INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';


--
-- Name: connections_by_state(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.connections_by_state() RETURNS TABLE(state text, connections bigint)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 6
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;


--
-- Name: FUNCTION connections_by_state(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.connections_by_state() IS 'Connections of clients to this server, by state; "not visible" where the owner of the function may not see it. For the views.';


--
-- Name: count_violations(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.count_violations() RETURNS TABLE(invariant text, violations bigint, description text)
    LANGUAGE plpgsql STABLE ROWS 13
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_nestloop TO 'off'
    SET enable_mergejoin TO 'off'
    SET join_collapse_limit TO '1'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        'seats_claimed_once'::text AS invariant,
        count(*) AS violations,
        'Seats with more than one live claim.'::text AS description
    FROM (
        SELECT
        FROM "public".reservation_seats AS claim
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
    FROM "public".show_seats AS seat
    WHERE
        seat.status = 'reserved'
        AND NOT EXISTS (
            SELECT
            FROM "public".seat_reservations AS hold
            INNER JOIN "public".reservation_seats AS claim
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
    FROM "public".seat_reservations AS hold
    INNER JOIN "public".reservation_seats AS claim
        ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
    INNER JOIN "public".show_seats AS seat
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
    FROM "public".seat_reservations AS hold
    WHERE
        hold.is_active
        AND NOT EXISTS (
            SELECT
            FROM "public".reservation_seats AS claim
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
    FROM "public".seat_reservations AS hold
    INNER JOIN "public".reservation_seats AS claim
        ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
    WHERE
        hold.status IN ('released', 'expired')
        AND claim.released_at IS NULL
    UNION ALL
    SELECT
        'free_seats_are_not_claimed',
        count(*),
        'Available or blocked seats with a live claim.'
    FROM "public".show_seats AS seat
    INNER JOIN "public".reservation_seats AS claim
        ON claim.show_seat_id = seat.id AND claim.show_id = seat.show_id
    WHERE
        seat.status IN ('available', 'blocked')
        AND claim.released_at IS NULL
    UNION ALL
    SELECT
        'sold_seats_have_a_ticket',
        count(*),
        'Sold seats without a valid ticket, or without a live claim of a completed reservation.'
    FROM "public".show_seats AS seat
    WHERE
        seat.status = 'sold'
        AND NOT EXISTS (
            SELECT
            FROM "public".tickets AS ticket
            INNER JOIN "public".ticket_orders AS paid
                ON paid.id = ticket.order_id AND paid.show_id = ticket.show_id
            INNER JOIN "public".reservation_seats AS claim
                ON
                    claim.reservation_id = paid.reservation_id
                    AND claim.show_id = paid.show_id
                    AND claim.show_seat_id = ticket.show_seat_id
            INNER JOIN "public".seat_reservations AS hold
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
    FROM "public".tickets AS ticket
    INNER JOIN "public".show_seats AS seat
        ON seat.id = ticket.show_seat_id AND seat.show_id = ticket.show_id
    INNER JOIN "public".ticket_orders AS paid
        ON paid.id = ticket.order_id AND paid.show_id = ticket.show_id
    WHERE
        ticket.status = 'valid'
        AND (seat.status, paid.status) IS DISTINCT FROM ('sold', 'paid')
    UNION ALL
    SELECT
        'paid_orders_have_their_tickets',
        count(*),
        'Paid orders whose tickets are not those of their seats, or do not add up to their amount.'
    FROM "public".ticket_orders AS paid
    LEFT JOIN (
        SELECT
            ticket.order_id,
            ticket.show_id,
            array_agg(ticket.show_seat_id ORDER BY ticket.show_seat_id) AS seat_ids,
            sum(ticket.price_in_cents) AS total
        FROM "public".tickets AS ticket
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
    FROM "public".seat_reservations AS hold
    WHERE
        hold.status = 'completed'
        AND NOT EXISTS (
            SELECT
            FROM "public".ticket_orders AS paid
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
    FROM "public".payment_events AS came
    WHERE
        came.kind = 'payment'
        AND came.amount_in_cents > 0
        AND (came.success, came.order_status) IS DISTINCT FROM (true, 'paid')
        AND NOT EXISTS (
            SELECT
            FROM "public".refunds AS owed
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
    FROM "public".ticket_orders AS unlucky
    WHERE
        unlucky.status = 'refund_due'
        AND unlucky.total_amount_in_cents > 0
        AND NOT EXISTS (
            SELECT
            FROM "public".refunds AS owed
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
    FROM "public".ticket_orders AS paid
    LEFT JOIN (
        SELECT
            done.order_id,
            done.show_id,
            sum(done.amount_in_cents) AS total
        FROM "public".refunds AS done
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
$$;


--
-- Name: FUNCTION count_violations(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.count_violations() IS 'Invariants and how many things break each, counted now: reads all seats and reservations.';


--
-- Name: create_log_partition(text, date); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.create_log_partition(p_table text, p_month date DEFAULT NULL::date) RETURNS text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    v_schema constant text := 'public';
    v_partition constant text := p_table || COALESCE(to_char(p_month, '"_p"YYYY_MM'), '_default');
BEGIN
    IF to_regclass(format('%I.%I', v_schema, v_partition)) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Not INCLUDING ALL: attaching makes the indexes, and an identity of its own would number rows
    -- anew.
    EXECUTE format(
        'CREATE TABLE %1$I.%2$I (LIKE %1$I.%3$I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        v_schema, v_partition, p_table
    );
    IF p_month IS NULL THEN
        EXECUTE format(
            'ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I DEFAULT',
            v_schema, p_table, v_partition
        );
    ELSE
        EXECUTE format(
            'ALTER TABLE %1$I.%2$I ATTACH PARTITION %1$I.%3$I FOR VALUES FROM (%4$L) TO (%5$L)',
            v_schema, p_table, v_partition,
            to_char(p_month, 'YYYY-MM-DD" 00:00:00+00"'),
            to_char(p_month + interval '1 month', 'YYYY-MM-DD" 00:00:00+00"')
        );
    END IF;
    EXECUTE format(
        'CREATE TRIGGER %3$I BEFORE TRUNCATE ON %1$I.%2$I '
        'FOR EACH STATEMENT EXECUTE FUNCTION %1$I.refuse_change(%4$L)',
        v_schema, v_partition, p_table || '_no_truncate',
        'purge_history() drops what is past retention.'
    );
    EXECUTE format(
        'ALTER TABLE %1$I.%2$I ENABLE ALWAYS TRIGGER %3$I, ENABLE ALWAYS TRIGGER %4$I',
        v_schema, v_partition, p_table || '_no_truncate', p_table || '_append_only'
    );
    EXECUTE format(
        'COMMENT ON TABLE %I.%I IS %L', v_schema, v_partition,
        CASE
            WHEN p_month IS NULL
                THEN format(
                    'Rows of %s that no month has a partition for: no event is ever lost.', p_table
                )
            ELSE format('Rows of %s of one month, UTC.', p_table)
        END
    );
    RETURN v_partition;
END;
$_$;


--
-- Name: FUNCTION create_log_partition(p_table text, p_month date); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.create_log_partition(p_table text, p_month date) IS 'Creates the partition of a log for the month that begins on this day (UTC), or its default partition. Returns its name, or NULL when it is there already.';


--
-- Name: create_ticket_order(text, text, text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.create_ticket_order(p_reservation_token text, p_session_id text, p_idempotency_key text DEFAULT NULL::text, p_payment_provider text DEFAULT NULL::text, p_payment_intent_id text DEFAULT NULL::text) RETURNS TABLE(success boolean, order_id uuid, status text, total_amount_in_cents bigint, currency text, error_code text, error_message text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    -- Records: a row type would be looked up, and waited for, before the block begins.
    v_hold record;
    v_order record;
    v_named record;
    v_show record;
    v_show_id uuid;
    v_reservation_id uuid;
    v_is_new_key boolean;
    v_losses integer := 0;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    PERFORM "public".commit_durably();
    LOOP
        BEGIN
            error_code := NULL;
            v_now := clock_timestamp();
            v_hold := "public".lock_reservation(p_reservation_token);
            v_reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT existing.*
            INTO v_order
            FROM "public".ticket_orders AS existing
            WHERE
                existing.show_id = v_hold.show_id
                AND existing.id = (
                    SELECT used.order_id
                    FROM "public".ticket_order_keys AS used
                    WHERE
                        used.idempotency_key = p_idempotency_key
                        AND used.show_id = v_hold.show_id
                );
            v_is_new_key := p_idempotency_key IS NOT NULL AND v_order.id IS NULL;

            SELECT
                show.status = 'cancelled' AS is_cancelled,
                policy.order_minutes
            INTO v_show
            FROM "public".shows AS show
            INNER JOIN "public".ticketing_settings AS policy ON policy.singleton
            WHERE show.id = v_hold.show_id;

            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN p_idempotency_key !~ '[^[:space:]]'
                    OR GREATEST(
                        length(p_idempotency_key), length(p_payment_provider),
                        length(p_payment_intent_id)
                    ) > 200 THEN 'INVALID_INPUT'
                WHEN v_order.reservation_id <> v_hold.id THEN 'IDEMPOTENCY_KEY_REUSED'
                WHEN v_show.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                -- The same question gets the same order, whatever has become of the hold since, as
                -- long as it has a future or a happy end.
                WHEN v_order.status IN ('pending', 'failed', 'paid') THEN NULL
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= v_now
                    THEN 'RESERVATION_EXPIRED'
                -- That order is over, and the hold goes on, for another key.
                WHEN v_order.id IS NOT NULL THEN 'IDEMPOTENCY_KEY_REUSED'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_order.id IS NULL THEN
                SELECT pending.*
                INTO v_order
                FROM "public".ticket_orders AS pending
                WHERE
                    pending.reservation_id = v_hold.id
                    AND pending.show_id = v_hold.show_id
                    -- Said so that the index of all pending ones does not apply.
                    AND COALESCE(pending.status, '') = 'pending';
            END IF;

            IF v_order.id IS NULL THEN
                IF v_hold.expires_at < v_now + make_interval(mins => v_show.order_minutes) THEN
                    v_hold.expires_at := v_now + make_interval(mins => v_show.order_minutes);
                END IF;
                -- Even where nothing changes. A trigger copies it to the seats.
                UPDATE "public".seat_reservations
                SET expires_at = v_hold.expires_at
                WHERE
                    seat_reservations.id = v_hold.id
                    AND seat_reservations.show_id = v_hold.show_id;

                INSERT INTO "public".ticket_orders (
                    show_id, reservation_id, seat_ids, total_amount_in_cents, currency,
                    idempotency_key, payment_provider, payment_intent_id
                )
                SELECT
                    v_hold.show_id,
                    v_hold.id,
                    array_agg(claim.show_seat_id ORDER BY claim.show_seat_id)
                        FILTER (WHERE claim.released_at IS NULL),
                    sum(claim.price_in_cents) FILTER (WHERE claim.released_at IS NULL),
                    min(claim.currency),
                    p_idempotency_key,
                    p_payment_provider,
                    p_payment_intent_id
                FROM "public".reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_hold.id
                    AND claim.show_id = v_hold.show_id
                RETURNING ticket_orders.* INTO v_order;
            ELSIF v_order.status IN ('pending', 'failed') THEN
                -- What is named now is what the buyer is about to use.
                v_named := v_order;
                v_named.idempotency_key := COALESCE(v_order.idempotency_key, p_idempotency_key);
                v_named.payment_provider := COALESCE(p_payment_provider, v_order.payment_provider);
                v_named.payment_intent_id := COALESCE(
                    p_payment_intent_id,
                    CASE
                        WHEN v_named.payment_provider IS NOT DISTINCT FROM
                            COALESCE(v_order.payment_provider, v_named.payment_provider)
                            THEN v_order.payment_intent_id
                    END
                );
                IF v_named IS DISTINCT FROM v_order THEN
                    IF (v_named.payment_provider, v_named.payment_intent_id) IS DISTINCT FROM (
                        COALESCE(v_order.payment_provider, v_named.payment_provider),
                        v_order.payment_intent_id
                    ) THEN
                        PERFORM "public".remember_payment_intent(
                            v_show_id, v_order.id, v_order.payment_provider,
                            v_order.payment_intent_id
                        );
                    END IF;
                    UPDATE "public".ticket_orders
                    SET
                        idempotency_key = v_named.idempotency_key,
                        payment_provider = v_named.payment_provider,
                        payment_intent_id = v_named.payment_intent_id
                    WHERE
                        ticket_orders.id = v_order.id
                        AND ticket_orders.show_id = v_order.show_id;
                END IF;
            END IF;

            IF v_is_new_key THEN
                INSERT INTO "public".ticket_order_keys (idempotency_key, show_id, order_id)
                VALUES (p_idempotency_key, v_order.show_id, v_order.id);
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT "public".wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                IF SQLSTATE = '23505' THEN
                    IF current_setting('transaction_isolation') <> 'read committed' THEN
                        RAISE EXCEPTION 'somebody has ordered since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    END IF;
                    -- Somebody used the key between our look and our write: a second look tells
                    -- what for.
                    v_losses := v_losses + 1;
                    CONTINUE WHEN v_losses = 1;
                END IF;
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                error_code := CASE v_constraint
                    -- A key that was written by hand.
                    WHEN 'ticket_orders_idempotency_key_show_id_key' THEN 'IDEMPOTENCY_KEY_REUSED'
                    ELSE 'INTERNAL_ERROR'
                END;
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        order_id := v_order.id;
        status := v_order.status;
        total_amount_in_cents := v_order.total_amount_in_cents;
        currency := v_order.currency;
    ELSE
        IF NOT v_has_waited THEN
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        IF v_reservation_id IS NULL THEN
            -- Not locked, or not there: for the log.
            SELECT
                hold.show_id,
                hold.id
            INTO
                v_show_id,
                v_reservation_id
            FROM "public".seat_reservations AS hold
            WHERE hold.reservation_token = p_reservation_token;
        END IF;
        error_message := "public".error_message(error_code);
        PERFORM "public".log_order_failure(
            'create_ticket_order', error_code, error_message, v_show_id,
            p_reservation_id => v_reservation_id, p_session_id => p_session_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$$;


--
-- Name: FUNCTION create_ticket_order(p_reservation_token text, p_session_id text, p_idempotency_key text, p_payment_provider text, p_payment_intent_id text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.create_ticket_order(p_reservation_token text, p_session_id text, p_idempotency_key text, p_payment_provider text, p_payment_intent_id text) IS 'Orders the seats of a hold, which then lasts ticketing_settings.order_minutes more at least. The same idempotency key, or a pending order, returns the order there is. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), IDEMPOTENCY_KEY_REUSED (by another reservation, or for an order that is over), INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR. Amounts in the minor unit of the currency.';


--
-- Name: cron_cleanup_runs(integer, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.cron_cleanup_runs(p_limit integer, p_since timestamp with time zone) RETURNS TABLE(runid bigint, job_pid integer, status text, return_message text, start_time timestamp with time zone, end_time timestamp with time zone, seen_at timestamp with time zone, jobname text, schedule text, active boolean, command text)
    LANGUAGE plpgsql STABLE ROWS 20
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_sort TO 'off'
    AS $_$
DECLARE
    v_job_ids bigint[];
    v_run record;
    v_found integer := 0;
    v_older integer := 0;
BEGIN
    EXECUTE
    $query$
    SELECT array_agg(job.jobid)
    FROM cron.job
    WHERE
        job.database = current_database()
        AND (job.jobname = $1 OR job.command = $2)
    $query$
    INTO v_job_ids
    USING
        'cleanup-expired-reservations',
        (
            SELECT jobs.command
            FROM "public".scheduled_jobs() AS jobs
            WHERE jobs.routine = 'run_reservation_cleanup'
        );
    IF v_job_ids IS NULL THEN
        RETURN;
    END IF;

    seen_at := now();
    FOR v_run IN EXECUTE
        $query$
        SELECT
            detail.runid,
            detail.job_pid,
            detail.status,
            detail.return_message,
            detail.start_time,
            detail.end_time,
            job.jobid IS NOT NULL AS is_ours,
            job.jobname::text,
            job.schedule,
            job.active,
            job.command
        FROM cron.job_run_details AS detail
        LEFT JOIN cron.job ON job.jobid = detail.jobid AND job.jobid = ANY($1)
        WHERE
            -- A day of a job that runs each second, and then some.
            detail.runid > (SELECT runid_seq.last_value FROM cron.runid_seq) - 100000
        ORDER BY detail.runid DESC
        $query$
        USING v_job_ids
    LOOP
        -- A run that never began has no time: it came before the next one that has.
        seen_at := COALESCE(v_run.start_time, seen_at);
        IF v_run.start_time < p_since THEN
            -- One old time proves nothing: a clock may have stepped.
            v_older := v_older + 1;
            EXIT WHEN v_older > 100;
        END IF;
        CONTINUE WHEN NOT v_run.is_ours OR COALESCE(v_run.end_time, seen_at) < p_since;

        runid := v_run.runid;
        job_pid := v_run.job_pid;
        status := v_run.status;
        return_message := v_run.return_message;
        start_time := v_run.start_time;
        end_time := v_run.end_time;
        jobname := v_run.jobname;
        schedule := v_run.schedule;
        active := v_run.active;
        command := v_run.command;
        RETURN NEXT;
        v_found := v_found + 1;
        EXIT WHEN v_found = p_limit;
    END LOOP;
END;
$_$;


--
-- Name: FUNCTION cron_cleanup_runs(p_limit integer, p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.cron_cleanup_runs(p_limit integer, p_since timestamp with time zone) IS 'The last p_limit runs of the cleanup that pg_cron has on record, newest first, as far as they ended at or after p_since; NULL for no bound. seen_at is the latest at which it can have begun. Internal.';


--
-- Name: due_refunds(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.due_refunds() RETURNS TABLE(reason text, currency text, refunds bigint, amount_in_cents bigint, oldest_age_seconds double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        refund.reason,
        refund.currency,
        count(*),
        sum(refund.amount_in_cents)::bigint,
        GREATEST(extract(EPOCH FROM now() - min(refund.created_at))::double precision, 0)
    FROM "public".refunds AS refund
    WHERE refund.status = 'due'
    GROUP BY
        refund.reason,
        refund.currency;
END;
$$;


--
-- Name: FUNCTION due_refunds(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.due_refunds() IS 'Money that is to be given back, by reason and currency: how many refunds, how much in the minor unit, and for how many seconds the oldest has been due. For the views.';


--
-- Name: duration_bucket_growth(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.duration_bucket_growth() RETURNS double precision
    LANGUAGE sql IMMUTABLE
    RETURN (1.04)::double precision;


--
-- Name: FUNCTION duration_bucket_growth(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.duration_bucket_growth() IS 'Each bucket of durations ends at so many times the end of the one before: what is read from them is within half of that, two percent.';


--
-- Name: end_holds(uuid, uuid[], text, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.end_holds(p_show_id uuid, p_reservation_ids uuid[], p_status text, p_lock_seat_ids uuid[] DEFAULT '{}'::uuid[]) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_seat_ids uuid[];
BEGIN
    -- FILTER and not WHERE: claims are to be found by their reservation, not by the index of all
    -- live ones.
    SELECT COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}')
    INTO v_seat_ids
    FROM "public".reservation_seats AS claim
    WHERE
        claim.reservation_id = ANY(p_reservation_ids)
        AND claim.show_id = p_show_id;

    -- Everybody locks seats in id order, and all at once: the caller's own seats too, if it is to
    -- take any after us.
    PERFORM
    FROM "public".show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids || p_lock_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    -- Before the claims are released: the audit trigger reads which are live.
    UPDATE "public".seat_reservations
    SET
        status = p_status,
        ended_at = v_now
    WHERE
        seat_reservations.show_id = p_show_id
        AND seat_reservations.id = ANY(p_reservation_ids);

    -- Live ones, said so that the index of all live claims does not apply here, either.
    UPDATE "public".reservation_seats
    SET released_at = v_now
    WHERE
        reservation_seats.reservation_id = ANY(p_reservation_ids)
        AND reservation_seats.show_id = p_show_id
        AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

    -- A reserved seat is reserved by its live claim: there is only one.
    UPDATE "public".show_seats
    SET
        status = 'available',
        reserved_by = NULL,
        reserved_until = NULL
    WHERE
        show_seats.show_id = p_show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.status = 'reserved';

    RETURN cardinality(v_seat_ids);
END;
$$;


--
-- Name: FUNCTION end_holds(p_show_id uuid, p_reservation_ids uuid[], p_status text, p_lock_seat_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.end_holds(p_show_id uuid, p_reservation_ids uuid[], p_status text, p_lock_seat_ids uuid[]) IS 'Ends locked, active reservations of a show as expired or released, frees their seats, and returns how many. Also locks p_lock_seat_ids, in one order with the rest. Internal.';


--
-- Name: end_overdue_holds(uuid, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.end_overdue_holds(p_show_id uuid, p_reservation_ids uuid[], OUT ended_ids uuid[], OUT seats_released integer, OUT error_code text, OUT error_message text) RETURNS record
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET lock_timeout TO '100ms'
    AS $$
DECLARE
    v_ids uuid[] := p_reservation_ids;
    v_seat_ids uuid[];
    v_locked_seat_ids uuid[];
    v_half record;
BEGIN
    ended_ids := '{}';
    seats_released := 0;
    WHILE v_ids <> '{}' LOOP
        BEGIN
            v_ids := ARRAY(
                SELECT hold.id
                FROM "public".seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = ANY(v_ids)
                    AND hold.ended_at IS NULL
                    AND hold.expires_at <= now()
                ORDER BY hold.id
                FOR UPDATE SKIP LOCKED
            );
            -- FILTER and not WHERE: claims are to be found by their reservation.
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_seat_ids
            FROM "public".reservation_seats AS claim
            WHERE
                claim.reservation_id = ANY(v_ids)
                AND claim.show_id = p_show_id;
            v_locked_seat_ids := ARRAY(
                SELECT seat.id
                FROM "public".show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(v_seat_ids)
                ORDER BY seat.id
                FOR UPDATE SKIP LOCKED
            );
            IF cardinality(v_locked_seat_ids) = cardinality(v_seat_ids) THEN
                seats_released := "public".end_holds(p_show_id, v_ids, 'expired');
                ended_ids := v_ids;
                RETURN;
            END IF;

            v_ids := ARRAY(
                SELECT claim.reservation_id
                FROM "public".reservation_seats AS claim
                WHERE
                    claim.reservation_id = ANY(v_ids)
                    AND claim.show_id = p_show_id
                GROUP BY claim.reservation_id
                HAVING
                    bool_and(
                        claim.released_at IS NOT NULL
                        OR claim.show_seat_id = ANY(v_locked_seat_ids)
                    )
            );
            -- Gives all locks back, those on the holds that are left out among them.
            RAISE EXCEPTION 'somebody has seats locked' USING ERRCODE = 'TDB01';
        EXCEPTION
            WHEN SQLSTATE 'TDB01' THEN
                NULL;
            -- OTHERS leaves out a cancelled statement, a time-out included.
            WHEN query_canceled OR OTHERS THEN
                IF SQLSTATE IN ('57014', '40001') OR cardinality(v_ids) = 1 THEN
                    IF SQLSTATE NOT IN ('55P03', '40P01') THEN
                        error_code := SQLSTATE;
                        error_message := SQLERRM;
                    END IF;
                    RETURN;
                END IF;
                -- What stops one hold does not stop the others.
                FOR v_half IN
                    SELECT half.*
                    FROM
                        (
                            VALUES
                            (v_ids[:cardinality(v_ids) / 2]),
                            (v_ids[cardinality(v_ids) / 2 + 1:])
                        ) AS halves (ids)
                    CROSS JOIN LATERAL "public".end_overdue_holds(
                        p_show_id, halves.ids
                    ) AS half
                LOOP
                    ended_ids := ended_ids || v_half.ended_ids;
                    seats_released := seats_released + v_half.seats_released;
                    error_code := COALESCE(error_code, v_half.error_code);
                    error_message := COALESCE(error_message, v_half.error_message);
                END LOOP;
                RETURN;
        END;
    END LOOP;
END;
$$;


--
-- Name: FUNCTION end_overdue_holds(p_show_id uuid, p_reservation_ids uuid[], OUT ended_ids uuid[], OUT seats_released integer, OUT error_code text, OUT error_message text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.end_overdue_holds(p_show_id uuid, p_reservation_ids uuid[], OUT ended_ids uuid[], OUT seats_released integer, OUT error_code text, OUT error_message text) IS 'Ends those of these reservations of a show that are over and that nobody has locked, seats included, and frees their seats; returns which, how many seats, and the SQLSTATE and words of the first error that stopped one of them. Internal.';


--
-- Name: endpoint_limit(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.endpoint_limit() RETURNS integer
    LANGUAGE sql IMMUTABLE
    RETURN 50;


--
-- Name: FUNCTION endpoint_limit(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.endpoint_limit() IS 'So many endpoints, the busiest, keep their name in a minute of the rollup and in api_endpoint_health; the rest are added up as "other".';


--
-- Name: error_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.error_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS TABLE(minute timestamp with time zone, message_sha256 bytea, error_message text, occurrences bigint, last_seen_at timestamp with time zone)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        grouped.minute,
        sha256(convert_to(grouped.error_message, 'UTF8')),
        grouped.error_message,
        grouped.occurrences,
        grouped.last_seen_at
    FROM (
        SELECT
            date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
            COALESCE(event.error_message, '(no message)') AS error_message,
            count(*) AS occurrences,
            max(event.created_at) AS last_seen_at
        FROM "public".seat_reservation_audit_log AS event
        WHERE
            event.xact_id >= p_from
            AND event.xact_id < p_below
            AND event.id > p_after_id
            AND event.event_type = 'failed'
        GROUP BY
            1,
            2
    ) AS grouped;
END;
$$;


--
-- Name: FUNCTION error_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.error_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Refused calls about holds a minute and message, of the transactions from p_from to below p_below, rows beyond p_after_id. Internal.';


--
-- Name: error_message(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.error_message(p_error_code text) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE p_error_code WHEN 'SEATS_UNAVAILABLE'::text THEN 'One or more seats were taken by another customer'::text WHEN 'DOUBLE_BOOKING_PREVENTED'::text THEN 'Database constraint prevented double-booking: reservation_seats_no_double_booking'::text WHEN 'INVALID_INPUT'::text THEN 'The input is not valid'::text WHEN 'SHOW_NOT_ON_SALE'::text THEN 'The show does not exist or is not on sale'::text WHEN 'TOO_MANY_SEATS'::text THEN 'More seats than one reservation may hold'::text WHEN 'DUPLICATE_RESERVATION'::text THEN 'The session already holds seats of this show'::text WHEN 'SEATS_NOT_FOUND'::text THEN 'One or more seats are not part of this show or reservation'::text WHEN 'NOT_FOUND'::text THEN 'There is no such reservation or order'::text WHEN 'PERMISSION_DENIED'::text THEN 'The reservation belongs to another session'::text WHEN 'RESERVATION_INACTIVE'::text THEN 'The reservation has ended'::text WHEN 'RESERVATION_EXPIRED'::text THEN 'The reservation is over'::text WHEN 'MAX_EXTENSIONS_REACHED'::text THEN 'The reservation cannot be extended any further'::text WHEN 'IDEMPOTENCY_KEY_REUSED'::text THEN 'The idempotency key was used for another reservation, or for an order that is over'::text WHEN 'AMOUNT_MISMATCH'::text THEN 'The amount paid is not the amount of the order'::text WHEN 'ORDER_NOT_PAYABLE'::text THEN 'The order can no longer be paid'::text WHEN 'ORDER_NOT_REFUNDABLE'::text THEN 'The order has not been paid or was refunded before'::text WHEN 'EVENT_MISMATCH'::text THEN 'The event came before with another amount'::text WHEN 'BUSY'::text THEN 'Somebody else is working on it at this moment, try again'::text WHEN 'INTERNAL_ERROR'::text THEN 'Unexpected error, see metadata of the audit log'::text ELSE NULL::text END;


--
-- Name: FUNCTION error_message(p_error_code text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.error_message(p_error_code text) IS 'The sentence that goes with an error code of the functions that sell.';


--
-- Name: error_metrics(timestamp with time zone, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.error_metrics(p_since timestamp with time zone, p_limit integer) RETURNS TABLE(error_message text, occurrences bigint, last_seen_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        COALESCE(top.recent_message, message.error_message),
        top.occurrences,
        top.last_seen_at
    FROM (
        SELECT
            minutes.message_sha256,
            max(minutes.error_message) AS recent_message,
            sum(minutes.occurrences)::bigint AS occurrences,
            max(minutes.last_seen_at) AS last_seen_at
        FROM (
            SELECT
                rolled_up.message_sha256,
                NULL AS error_message,
                rolled_up.occurrences,
                rolled_up.last_seen_at
            FROM "public".error_minutes AS rolled_up
            WHERE rolled_up.minute >= p_since
            UNION ALL
            SELECT
                recent.message_sha256,
                recent.error_message,
                recent.occurrences,
                recent.last_seen_at
            FROM "public".log_tail('seat_reservation_audit_log') AS tail
            CROSS JOIN LATERAL "public".error_events(
                tail.from_xact_id, tail.below_xact_id, tail.after_id
            ) AS recent
            WHERE recent.minute >= p_since
        ) AS minutes
        GROUP BY minutes.message_sha256
        ORDER BY
            occurrences DESC,
            last_seen_at DESC,
            minutes.message_sha256
        LIMIT p_limit
    ) AS top
    LEFT JOIN "public".error_messages AS message
        ON message.message_sha256 = top.message_sha256;
END;
$$;


--
-- Name: FUNCTION error_metrics(p_since timestamp with time zone, p_limit integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.error_metrics(p_since timestamp with time zone, p_limit integer) IS 'The p_limit most frequent messages of refused calls about holds from p_since on, how often they came and when last.';


--
-- Name: expire_holds(uuid, uuid[], uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.expire_holds(p_show_id uuid, p_reservation_ids uuid[], p_lock_seat_ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_locked_ids uuid[];
BEGIN
    v_locked_ids := ARRAY(
        SELECT hold.id
        FROM "public".seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = ANY(p_reservation_ids)
            AND hold.ended_at IS NULL
            AND hold.expires_at <= v_now
        ORDER BY hold.id
        FOR UPDATE
    );
    PERFORM "public".end_holds(p_show_id, v_locked_ids, 'expired', p_lock_seat_ids);
END;
$$;


--
-- Name: FUNCTION expire_holds(p_show_id uuid, p_reservation_ids uuid[], p_lock_seat_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.expire_holds(p_show_id uuid, p_reservation_ids uuid[], p_lock_seat_ids uuid[]) IS 'Ends those of these reservations that are over, and locks p_lock_seat_ids for the caller. Internal.';


--
-- Name: extend_reservation(text, text, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.extend_reservation(p_reservation_token text, p_session_id text, p_expires_at timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(success boolean, reservation_id uuid, expires_at timestamp with time zone, extensions_remaining integer, error_code text, error_message text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_settings record;
    -- A record: a row type would be looked up, and waited for, before the block begins.
    v_hold record;
    v_show_id uuid;
    v_expires_at timestamptz;
    v_is_repeated boolean;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := "public".lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                policy.extension_minutes,
                policy.max_extensions,
                policy.max_hold_minutes,
                show.status = 'cancelled' AS is_cancelled
            INTO v_settings
            FROM "public".ticketing_settings AS policy
            LEFT JOIN "public".shows AS show ON show.id = v_hold.show_id
            WHERE policy.singleton;
            v_expires_at := LEAST(
                v_hold.expires_at + make_interval(mins => v_settings.extension_minutes),
                v_hold.created_at + make_interval(mins => v_settings.max_hold_minutes)
            );
            -- Not to the microsecond: a JavaScript date has milliseconds, some clients print
            -- seconds.
            v_is_repeated := COALESCE(v_hold.expires_at - p_expires_at >= interval '1 s', false);
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status IN ('completed', 'released') THEN 'RESERVATION_INACTIVE'
                WHEN v_hold.status = 'expired' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_EXPIRED'
                WHEN v_settings.is_cancelled THEN 'SHOW_NOT_ON_SALE'
                WHEN v_is_repeated THEN NULL
                WHEN v_hold.extension_count >= v_settings.max_extensions
                    OR v_expires_at <= v_hold.expires_at
                    THEN 'MAX_EXTENSIONS_REACHED'
            END;
            IF error_code IS NULL AND NOT v_is_repeated THEN
                -- A trigger moves reserved_until of the seats, another writes the audit log.
                UPDATE "public".seat_reservations
                SET
                    expires_at = v_expires_at,
                    extension_count = seat_reservations.extension_count + 1
                WHERE
                    seat_reservations.id = v_hold.id
                    AND seat_reservations.show_id = v_hold.show_id
                RETURNING seat_reservations.* INTO v_hold;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT "public".wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        expires_at := v_hold.expires_at;
        extensions_remaining := GREATEST(
            0, v_settings.max_extensions - v_hold.extension_count
        );
    ELSE
        error_message := "public".error_message(error_code);
        PERFORM "public".log_reservation_failure(
            'extend_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$$;


--
-- Name: FUNCTION extend_reservation(p_reservation_token text, p_session_id text, p_expires_at timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.extend_reservation(p_reservation_token text, p_session_id text, p_expires_at timestamp with time zone) IS 'Extends a hold by ticketing_settings.extension_minutes, at most max_extensions times and max_hold_minutes in all. Safe to repeat for who gives p_expires_at, the end that the caller knows of: a hold that ends later by now is returned as it is. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, RESERVATION_EXPIRED, SHOW_NOT_ON_SALE (cancelled), MAX_EXTENSIONS_REACHED, BUSY (somebody else had it locked for 2 s), INTERNAL_ERROR.';


--
-- Name: extension_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.extension_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS TABLE(reservation_id uuid, quarter timestamp with time zone)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT DISTINCT
        event.reservation_id,
        date_bin('15 minutes', event.created_at, '2000-01-01 00:00+00')
    FROM "public".seat_reservation_audit_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
        AND event.event_type = 'extended'
        AND event.reservation_id IS NOT NULL;
END;
$$;


--
-- Name: FUNCTION extension_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.extension_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Reservations extended, a quarter of an hour, of the transactions from p_from to below p_below, rows beyond p_after_id. Internal.';


--
-- Name: extension_metrics(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.extension_metrics(p_days integer) RETURNS TABLE(day date, extensions bigint, unique_reservations bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 7
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    WITH days AS (
        SELECT
            this.zone,
            this.today - n.days_ago AS day,
            -- A little more than the day, whatever its zone does to the clock.
            (this.today - n.days_ago - 1)::timestamp AT TIME ZONE 'UTC' AS earliest,
            (this.today - n.days_ago + 2)::timestamp AT TIME ZONE 'UTC' AS latest
        FROM (
            SELECT
                settings.business_time_zone AS zone,
                (now() AT TIME ZONE settings.business_time_zone)::date AS today
            FROM "public".ticketing_settings AS settings
        ) AS this
        CROSS JOIN generate_series(0, p_days - 1) AS n (days_ago)
    ),

    extended AS (
        SELECT
            (metric.minute AT TIME ZONE settings.business_time_zone)::date AS day,
            sum(metric.extended)::bigint AS extensions
        FROM "public".ticketing_settings AS settings
        CROSS JOIN LATERAL "public".reservation_metrics(
            now() - make_interval(hours => 24 * (p_days + 1))
        ) AS metric
        -- A clock that was wrong may have written of days that have no date in other zones.
        WHERE metric.minute < now() + interval '2 days'
        GROUP BY 1
    ),

    recently AS (
        SELECT DISTINCT
            recent.reservation_id,
            (recent.quarter AT TIME ZONE settings.business_time_zone)::date AS day
        FROM "public".ticketing_settings AS settings
        CROSS JOIN LATERAL "public".log_tail('seat_reservation_audit_log') AS tail
        CROSS JOIN LATERAL "public".extension_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE
            recent.quarter >= now() - make_interval(hours => 24 * (p_days + 1))
            AND recent.quarter < now() + interval '2 days'
    ),

    first_that_day AS (
        SELECT
            recently.day,
            count(*) AS reservations
        FROM recently
        INNER JOIN days ON days.day = recently.day
        WHERE
            NOT EXISTS (
                SELECT
                FROM "public".extended_reservations AS before
                WHERE
                    before.reservation_id = recently.reservation_id
                    AND (before.quarter AT TIME ZONE days.zone)::date = recently.day
            )
        GROUP BY recently.day
    )

    SELECT
        days.day,
        COALESCE(extended.extensions, 0),
        COALESCE(rolled_up.reservations, 0) + COALESCE(first_that_day.reservations, 0)
    FROM days
    LEFT JOIN extended ON extended.day = days.day
    LEFT JOIN first_that_day ON first_that_day.day = days.day
    CROSS JOIN LATERAL (
        SELECT sum(counted.reservations)::bigint AS reservations
        FROM "public".extension_quarters AS counted
        WHERE
            counted.quarter >= days.earliest
            AND counted.quarter < days.latest
            AND (counted.quarter AT TIME ZONE days.zone)::date = days.day
            AND (counted.previous_quarter AT TIME ZONE days.zone)::date < days.day
    ) AS rolled_up;
END;
$$;


--
-- Name: FUNCTION extension_metrics(p_days integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.extension_metrics(p_days integer) IS 'Extensions of the last p_days days of the business time zone, today included, and how many different reservations they were about.';


--
-- Name: fail_payment(uuid, uuid, text, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fail_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_error_message text) RETURNS TABLE(success boolean, order_id uuid, status text, error_code text, error_message text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Records: a row type would be looked up, and waited for, before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_event record;
    v_constraint text;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('event_id', left(p_event_id, 200));
BEGIN
    PERFORM "public".commit_durably();
    LOOP
        IF COALESCE(p_provider, '') !~ '[^[:space:]]'
            OR COALESCE(p_event_id, '') !~ '[^[:space:]]'
            OR GREATEST(length(p_provider), length(p_event_id)) > 200
        THEN
            error_code := 'INVALID_INPUT';
            EXIT;
        END IF;

        BEGIN
            v_order := "public".lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            status := v_order.status;
            SELECT seen.*
            INTO v_event
            FROM "public".payment_events AS seen
            WHERE
                seen.provider = p_provider
                AND seen.event_id = p_event_id
                AND seen.kind = 'failure'
                AND seen.order_id = v_order.id
                AND seen.show_id = p_show_id;
            IF v_event.event_id IS NOT NULL THEN
                success := v_event.success;
                order_id := v_event.order_id;
                status := v_event.order_status;
                error_code := v_event.error_code;
                error_message := v_event.error_message;
                RETURN NEXT;
                RETURN;
            END IF;

            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('pending', 'failed') THEN 'ORDER_NOT_PAYABLE'
            END;
            EXIT WHEN error_code = 'NOT_FOUND';

            IF error_code IS NULL THEN
                status := 'failed';
                UPDATE "public".ticket_orders
                SET
                    status = 'failed',
                    error_message = left(p_error_message, 10000),
                    payment_provider = COALESCE(ticket_orders.payment_provider, p_provider)
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;

            INSERT INTO "public".payment_events (
                provider, event_id, show_id, order_id, kind, success, order_status, ticket_ids,
                error_code, error_message
            )
            VALUES (
                p_provider, p_event_id, p_show_id, v_order.id, 'failure', error_code IS NULL,
                status, '{}', error_code, "public".error_message(error_code)
            );
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT "public".wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                IF v_constraint = 'payment_events_pkey' THEN
                    -- Only where the snapshot is older than our lock, and the event came between.
                    RAISE EXCEPTION 'the event has come since the transaction began'
                    USING ERRCODE = 'serialization_failure';
                END IF;
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        IF NOT v_has_waited THEN
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := "public".error_message(error_code);
        PERFORM "public".log_order_failure(
            'fail_payment', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status,
            p_payment_provider => p_provider, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$$;


--
-- Name: FUNCTION fail_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_error_message text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.fail_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_error_message text) IS 'Records that a payment failed. A failed order can still be paid, also by an event of the same name. Repeating an event returns the first answer. Error codes: NOT_FOUND, ORDER_NOT_PAYABLE, INVALID_INPUT, BUSY (after 2 s; try again), INTERNAL_ERROR.';


--
-- Name: fold_api_request_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fold_api_request_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_minutes timestamptz[];
BEGIN
    WITH events AS MATERIALIZED (
        SELECT
            event.minute,
            event.endpoint,
            event.duration_bucket,
            event.requests,
            event.errors,
            event.duration_microseconds
        FROM "public".api_request_events(p_from, p_below, p_after_id) AS event
    ),

    totals AS (
        INSERT INTO "public".api_request_minutes (
            minute, endpoint, requests, errors, duration_microseconds
        )
        SELECT
            events.minute,
            events.endpoint,
            sum(events.requests),
            sum(events.errors),
            sum(events.duration_microseconds)
        FROM events
        GROUP BY
            events.minute,
            events.endpoint
        ORDER BY
            events.minute,
            events.endpoint
        ON CONFLICT (minute, endpoint) DO UPDATE SET
            requests = api_request_minutes.requests + excluded.requests,
            errors = api_request_minutes.errors + excluded.errors,
            duration_microseconds
            = api_request_minutes.duration_microseconds + excluded.duration_microseconds
    ),

    durations AS (
        INSERT INTO "public".api_duration_minutes (minute, endpoint, duration_bucket, requests)
        SELECT
            events.minute,
            events.endpoint,
            events.duration_bucket,
            events.requests
        FROM events
        ORDER BY
            events.minute,
            events.endpoint,
            events.duration_bucket
        ON CONFLICT (minute, endpoint, duration_bucket) DO UPDATE SET
            requests = api_duration_minutes.requests + excluded.requests
    )

    SELECT array_agg(DISTINCT events.minute) INTO v_minutes FROM events;

    -- A statement of its own: it reads what the first has written.
    PERFORM "public".merge_minor_endpoints(v_minutes);
END;
$$;


--
-- Name: FUNCTION fold_api_request_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.fold_api_request_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Adds a part of api_request_log to its rollups. Internal.';


--
-- Name: fold_events(text, xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fold_events(p_log text, p_from xid8, p_below xid8, p_after_id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    CASE p_log
        WHEN 'seat_reservation_audit_log' THEN
            PERFORM "public".fold_reservation_events(p_from, p_below, p_after_id);
        WHEN 'ticket_order_audit_log' THEN
            PERFORM "public".fold_order_events(p_from, p_below, p_after_id);
        WHEN 'api_request_log' THEN
            PERFORM "public".fold_api_request_events(p_from, p_below, p_after_id);
    END CASE;
END;
$$;


--
-- Name: FUNCTION fold_events(p_log text, p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.fold_events(p_log text, p_from xid8, p_below xid8, p_after_id bigint) IS 'Adds the transactions from p_from to below p_below of a log, rows beyond p_after_id, to its rollups. Internal.';


--
-- Name: fold_order_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fold_order_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
INSERT INTO "public".order_minutes (
    minute, currency, orders, failed_orders, paid_orders, revenue_in_cents, tickets, payments
)
SELECT
    event.minute,
    event.currency,
    event.orders,
    event.failed_orders,
    event.paid_orders,
    event.revenue_in_cents,
    event.tickets,
    event.payments
FROM "public".order_events(p_from, p_below, p_after_id) AS event
ORDER BY
    event.minute,
    event.currency
ON CONFLICT (minute, currency) DO UPDATE SET
    orders = order_minutes.orders + excluded.orders,
    failed_orders = order_minutes.failed_orders + excluded.failed_orders,
    paid_orders = order_minutes.paid_orders + excluded.paid_orders,
    revenue_in_cents = order_minutes.revenue_in_cents + excluded.revenue_in_cents,
    tickets = order_minutes.tickets + excluded.tickets,
    payments = order_minutes.payments + excluded.payments;
$$;


--
-- Name: FUNCTION fold_order_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.fold_order_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Adds a part of ticket_order_audit_log to its rollup. Internal.';


--
-- Name: fold_reservation_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.fold_reservation_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    WITH events AS MATERIALIZED (
        SELECT event.*
        FROM "public".reservation_events(p_from, p_below, p_after_id) AS event
    ),

    of_shows AS (
        INSERT INTO "public".reservation_show_minutes (
            show_id, minute, created, completed, expired, released, extended,
            failed, failed_attempts, race_conditions, constraint_violations, holds_ended,
            hold_microseconds, releases_ended, release_microseconds
        )
        SELECT
            event.show_id,
            event.minute,
            event.created,
            event.completed,
            event.expired,
            event.released,
            event.extended,
            event.failed,
            event.failed_attempts,
            event.race_conditions,
            event.constraint_violations,
            event.holds_ended,
            event.hold_microseconds,
            event.releases_ended,
            event.release_microseconds
        FROM events AS event
        ORDER BY
            event.show_id,
            event.minute
        ON CONFLICT (show_id, minute) DO UPDATE SET
            created = reservation_show_minutes.created + excluded.created,
            completed = reservation_show_minutes.completed + excluded.completed,
            expired = reservation_show_minutes.expired + excluded.expired,
            released = reservation_show_minutes.released + excluded.released,
            extended = reservation_show_minutes.extended + excluded.extended,
            failed = reservation_show_minutes.failed + excluded.failed,
            failed_attempts = reservation_show_minutes.failed_attempts + excluded.failed_attempts,
            race_conditions = reservation_show_minutes.race_conditions + excluded.race_conditions,
            constraint_violations = reservation_show_minutes.constraint_violations + excluded.constraint_violations,
            holds_ended = reservation_show_minutes.holds_ended + excluded.holds_ended,
            hold_microseconds = reservation_show_minutes.hold_microseconds + excluded.hold_microseconds,
            releases_ended = reservation_show_minutes.releases_ended + excluded.releases_ended,
            release_microseconds = reservation_show_minutes.release_microseconds + excluded.release_microseconds
    )

    INSERT INTO "public".reservation_minutes (
        minute, created, completed, expired, released, extended, failed,
        failed_attempts, race_conditions, constraint_violations, holds_ended,
        hold_microseconds, releases_ended, release_microseconds
    )
    SELECT
        event.minute,
        sum(event.created),
        sum(event.completed),
        sum(event.expired),
        sum(event.released),
        sum(event.extended),
        sum(event.failed),
        sum(event.failed_attempts),
        sum(event.race_conditions),
        sum(event.constraint_violations),
        sum(event.holds_ended),
        sum(event.hold_microseconds),
        sum(event.releases_ended),
        sum(event.release_microseconds)
    FROM events AS event
    GROUP BY event.minute
    -- Neighbours in time on the same pages.
    ORDER BY event.minute
    ON CONFLICT (minute) DO UPDATE SET
        created = reservation_minutes.created + excluded.created,
        completed = reservation_minutes.completed + excluded.completed,
        expired = reservation_minutes.expired + excluded.expired,
        released = reservation_minutes.released + excluded.released,
        extended = reservation_minutes.extended + excluded.extended,
        failed = reservation_minutes.failed + excluded.failed,
        failed_attempts = reservation_minutes.failed_attempts + excluded.failed_attempts,
        race_conditions = reservation_minutes.race_conditions + excluded.race_conditions,
        constraint_violations = reservation_minutes.constraint_violations + excluded.constraint_violations,
        holds_ended = reservation_minutes.holds_ended + excluded.holds_ended,
        hold_microseconds = reservation_minutes.hold_microseconds + excluded.hold_microseconds,
        releases_ended = reservation_minutes.releases_ended + excluded.releases_ended,
        release_microseconds = reservation_minutes.release_microseconds + excluded.release_microseconds;

    INSERT INTO "public".error_messages (message_sha256, error_message)
    SELECT DISTINCT
        event.message_sha256,
        event.error_message
    FROM "public".error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT DO NOTHING;

    INSERT INTO "public".error_minutes (minute, message_sha256, occurrences, last_seen_at)
    SELECT
        event.minute,
        event.message_sha256,
        event.occurrences,
        event.last_seen_at
    FROM "public".error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT (minute, message_sha256) DO UPDATE SET
        occurrences = error_minutes.occurrences + excluded.occurrences,
        last_seen_at = GREATEST(error_minutes.last_seen_at, excluded.last_seen_at);

    -- Late ones may come between two that are counted already: of each reservation that has a new
    -- quarter, all its quarters are taken off and put on again.
    WITH new AS (
        INSERT INTO "public".extended_reservations (reservation_id, quarter)
        SELECT
            event.reservation_id,
            event.quarter
        FROM "public".extension_events(p_from, p_below, p_after_id) AS event
        ON CONFLICT DO NOTHING
        RETURNING
            extended_reservations.reservation_id,
            extended_reservations.quarter
    ),

    old AS (
        SELECT
            counted.reservation_id,
            counted.quarter
        FROM "public".extended_reservations AS counted
        WHERE counted.reservation_id IN (SELECT new.reservation_id FROM new)
    ),

    differences AS (
        SELECT
            old.quarter,
            lag(old.quarter) OVER of_reservation AS previous_quarter,
            -1 AS reservations
        FROM old
        WINDOW of_reservation AS (PARTITION BY old.reservation_id ORDER BY old.quarter)
        UNION ALL
        SELECT
            every.quarter,
            lag(every.quarter) OVER of_reservation,
            1
        FROM (
            SELECT * FROM old
            UNION ALL
            SELECT * FROM new
        ) AS every
        WINDOW of_reservation AS (PARTITION BY every.reservation_id ORDER BY every.quarter)
    )

    INSERT INTO "public".extension_quarters (quarter, previous_quarter, reservations)
    SELECT
        difference.quarter,
        COALESCE(difference.previous_quarter, 'epoch'),
        sum(difference.reservations)
    FROM differences AS difference
    GROUP BY
        1,
        2
    HAVING sum(difference.reservations) <> 0
    ON CONFLICT (quarter, previous_quarter) DO UPDATE SET
        reservations = extension_quarters.reservations + excluded.reservations;
END;
$$;


--
-- Name: FUNCTION fold_reservation_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.fold_reservation_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Adds a part of seat_reservation_audit_log to its rollups. Internal.';


--
-- Name: get_reservation_statistics(uuid, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.get_reservation_statistics(p_show_id uuid DEFAULT NULL::uuid, p_hours integer DEFAULT 24) RETURNS TABLE(total_created bigint, total_completed bigint, total_expired bigint, total_released bigint, total_extended bigint, total_failed bigint, avg_hold_seconds double precision, expiration_rate double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF p_hours IS NULL OR p_hours NOT BETWEEN 1 AND 8760 THEN
        RAISE EXCEPTION 'p_hours must be between 1 and 8760, not %', COALESCE(p_hours::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT
        counts.created,
        counts.completed,
        counts.expired,
        counts.released,
        counts.extended,
        counts.failed,
        counts.seconds / NULLIF(counts.ended, 0),
        COALESCE(counts.expired::double precision / NULLIF(counts.created, 0), 0)
    FROM (
        SELECT
            COALESCE(sum(metric.created), 0)::bigint AS created,
            COALESCE(sum(metric.completed), 0)::bigint AS completed,
            COALESCE(sum(metric.expired), 0)::bigint AS expired,
            COALESCE(sum(metric.released), 0)::bigint AS released,
            COALESCE(sum(metric.extended), 0)::bigint AS extended,
            COALESCE(sum(metric.failed), 0)::bigint AS failed,
            sum(metric.holds_ended + metric.releases_ended) AS ended,
            sum(metric.hold_microseconds + metric.release_microseconds)::double precision / 1e6
            AS seconds
        FROM "public".reservation_metrics(
            "public".window_start(make_interval(hours => p_hours)), p_show_id
        ) AS metric
    ) AS counts;
END;
$$;


--
-- Name: FUNCTION get_reservation_statistics(p_show_id uuid, p_hours integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.get_reservation_statistics(p_show_id uuid, p_hours integer) IS 'Events of the last p_hours hours (1 to 8760, otherwise error 22023), of one show or of all. expiration_rate is expired / created, 0 when nothing was created; avg_hold_seconds is NULL when no hold ended.';


--
-- Name: is_own_work(xid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_own_work(p_xmin xid) RETURNS boolean
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
SELECT
    CASE
        -- Savepoints get their ids after their transaction got its own.
        WHEN age(p_xmin) <= age(pg_current_xact_id()::xid)
            THEN pg_xact_status(
                (
                    pg_current_xact_id()::text::bigint
                    + age(pg_current_xact_id()::xid)
                    - age(p_xmin)
                )::text::xid8
            ) = 'in progress'
        ELSE false
    END;
$$;


--
-- Name: FUNCTION is_own_work(p_xmin xid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_own_work(p_xmin xid) IS 'Whether the row with this xmin, visible to the caller, was written by its own transaction.';


--
-- Name: is_restored_log(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_restored_log(p_log text) RETURNS boolean
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $_$
DECLARE
    v_mark "public".metric_watermarks;
    v_is_same_server boolean;
    v_is_restored boolean;
BEGIN
    SELECT mark.* INTO v_mark FROM "public".metric_watermarks AS mark WHERE mark.log = p_log;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_mark.watermark > pg_snapshot_xmax(pg_current_snapshot()) THEN
        RETURN true;
    END IF;
    v_is_same_server := v_mark.system_identifier = "public".system_identifier();
    IF v_is_same_server IS NOT NULL THEN
        RETURN NOT v_is_same_server;
    END IF;
    -- Nobody knows. The counter of this server may have passed the watermark since: then there are
    -- lines below it that are newer than all that was rolled up.
    EXECUTE format(
        'WITH newer AS MATERIALIZED (SELECT event.xact_id FROM %I.%I AS event WHERE event.id > $1) '
        'SELECT EXISTS (SELECT FROM newer WHERE newer.xact_id < $2)',
        'public', p_log
    )
    INTO v_is_restored
    USING v_mark.last_folded_id, v_mark.watermark;
    RETURN v_is_restored;
END;
$_$;


--
-- Name: FUNCTION is_restored_log(p_log text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_restored_log(p_log text) IS 'Whether the watermark of a log came with a dump of another server, and roll_up_metrics() has not run since. For the view health.';


--
-- Name: is_time_zone(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.is_time_zone(p_name text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
BEGIN
    IF p_name !~ '^(UTC|GMT|Etc/GMT[+-]?[0-9]{1,2}|[A-Z][A-Za-z_]+(/[A-Za-z_-]+)+)$' THEN
        RETURN false;
    END IF;
    PERFORM timezone(p_name, 'epoch'::timestamptz);
    RETURN true;
EXCEPTION
    WHEN invalid_parameter_value THEN
        RETURN false;
END;
$_$;


--
-- Name: FUNCTION is_time_zone(p_name text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.is_time_zone(p_name text) IS 'Whether the server knows this IANA time zone, such as Europe/Berlin.';


--
-- Name: uuid_v7(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.uuid_v7() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    RETURN (encode(set_bit(set_bit(("substring"(int8send(((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint), 3) || "substring"(uuid_send(gen_random_uuid()), 7)), (52)::bigint, 1), (53)::bigint, 1), 'hex'::text))::uuid;


--
-- Name: FUNCTION uuid_v7(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.uuid_v7() IS 'A new time-ordered UUID, version 7: 48 bits of Unix milliseconds, 74 random bits.';


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: ticket_orders; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ticket_orders (
    id uuid DEFAULT public.uuid_v7() NOT NULL,
    show_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    seat_ids uuid[] NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    total_amount_in_cents bigint NOT NULL,
    currency text NOT NULL,
    idempotency_key text,
    payment_provider text,
    payment_intent_id text,
    error_message text,
    cancel_reason text,
    refunded_amount_in_cents bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    paid_at timestamp with time zone,
    CONSTRAINT ticket_orders_cancel_reason_check CHECK ((cancel_reason = ANY (ARRAY['released'::text, 'superseded'::text, 'overdue'::text]))),
    CONSTRAINT ticket_orders_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_orders_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT ticket_orders_idempotency_key_check CHECK (((length(idempotency_key) <= 200) AND (idempotency_key ~ '[^[:space:]]'::text))),
    CONSTRAINT ticket_orders_paid_at_check CHECK ((((status = ANY (ARRAY['paid'::text, 'refund_due'::text, 'refunded'::text])) = (paid_at IS NOT NULL)) AND isfinite(paid_at))),
    CONSTRAINT ticket_orders_payment_intent_id_check CHECK ((length(payment_intent_id) <= 200)),
    CONSTRAINT ticket_orders_payment_provider_check CHECK ((length(payment_provider) <= 200)),
    CONSTRAINT ticket_orders_refunded_amount_in_cents_check CHECK (((refunded_amount_in_cents >= 0) AND (refunded_amount_in_cents <= GREATEST(total_amount_in_cents, (0)::bigint)))),
    CONSTRAINT ticket_orders_seat_ids_check CHECK (((cardinality(seat_ids) > 0) AND (array_position(seat_ids, NULL::uuid) IS NULL))),
    CONSTRAINT ticket_orders_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'paid'::text, 'failed'::text, 'cancelled'::text, 'refund_due'::text, 'refunded'::text]))),
    CONSTRAINT ticket_orders_total_amount_in_cents_check CHECK (((total_amount_in_cents >= 0) AND (total_amount_in_cents <= '100000000000000'::bigint)))
);


--
-- Name: TABLE ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ticket_orders IS 'Orders and how their payment went.';


--
-- Name: COLUMN ticket_orders.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.id IS 'Key, together with the show.';


--
-- Name: COLUMN ticket_orders.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN ticket_orders.reservation_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.reservation_id IS 'The reservation that the order pays for.';


--
-- Name: COLUMN ticket_orders.seat_ids; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.seat_ids IS 'The seats when it was ordered, in order. A late payment takes exactly these again, or none.';


--
-- Name: COLUMN ticket_orders.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.status IS 'pending: waits for payment; paid: tickets issued; failed: the provider refused, another try may succeed; cancelled: see cancel_reason; refund_due: paid, but the seats are gone, owe the money; refunded: given back.';


--
-- Name: COLUMN ticket_orders.total_amount_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.total_amount_in_cents IS 'What is to be paid, in the minor unit of the currency.';


--
-- Name: COLUMN ticket_orders.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.currency IS 'ISO 4217 code.';


--
-- Name: COLUMN ticket_orders.idempotency_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.idempotency_key IS 'The caller''s name for the attempt that made the order. All keys that name it are in ticket_order_keys.';


--
-- Name: COLUMN ticket_orders.payment_provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.payment_provider IS 'Who takes the money, such as stripe: the last that was named until money comes, then the one that it came from.';


--
-- Name: COLUMN ticket_orders.payment_intent_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.payment_intent_id IS 'The provider''s id of the payment: the last that was named until money comes, then the one that it came with. Earlier ones are in payment_intents.';


--
-- Name: COLUMN ticket_orders.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.error_message IS 'Why the last payment failed.';


--
-- Name: COLUMN ticket_orders.cancel_reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.cancel_reason IS 'Why it was cancelled: released (seats were given back), superseded (another order of the hold was paid), overdue (the hold ran out unpaid). Only what is overdue can still be paid, late.';


--
-- Name: COLUMN ticket_orders.refunded_amount_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.refunded_amount_in_cents IS 'How much of what was paid for it has been given back, in the minor unit of the currency.';


--
-- Name: COLUMN ticket_orders.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.created_at IS 'When it was ordered.';


--
-- Name: COLUMN ticket_orders.paid_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_orders.paid_at IS 'When the money came; also where it is to be given back.';


--
-- Name: CONSTRAINT ticket_orders_cancel_reason_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_cancel_reason_check ON public.ticket_orders IS 'The reasons there are.';


--
-- Name: CONSTRAINT ticket_orders_created_at_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_created_at_check ON public.ticket_orders IS 'Finite.';


--
-- Name: CONSTRAINT ticket_orders_currency_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_currency_check ON public.ticket_orders IS 'Three capital letters.';


--
-- Name: CONSTRAINT ticket_orders_idempotency_key_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_idempotency_key_check ON public.ticket_orders IS 'Not blank, and short enough to be indexed.';


--
-- Name: CONSTRAINT ticket_orders_paid_at_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_paid_at_check ON public.ticket_orders IS 'Set exactly when money has come.';


--
-- Name: CONSTRAINT ticket_orders_payment_intent_id_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_payment_intent_id_check ON public.ticket_orders IS 'Bounded.';


--
-- Name: CONSTRAINT ticket_orders_payment_provider_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_payment_provider_check ON public.ticket_orders IS 'Bounded.';


--
-- Name: CONSTRAINT ticket_orders_refunded_amount_in_cents_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_refunded_amount_in_cents_check ON public.ticket_orders IS 'Not more than was paid.';


--
-- Name: CONSTRAINT ticket_orders_seat_ids_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_seat_ids_check ON public.ticket_orders IS 'At least one seat.';


--
-- Name: CONSTRAINT ticket_orders_status_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_status_check ON public.ticket_orders IS 'The statuses there are.';


--
-- Name: CONSTRAINT ticket_orders_total_amount_in_cents_check ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_total_amount_in_cents_check ON public.ticket_orders IS 'A thousand seats of the highest price.';


--
-- Name: lock_order(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.lock_order(p_show_id uuid, p_order_id uuid) RETURNS public.ticket_orders
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_order "public".ticket_orders;
BEGIN
    -- An order never changes its reservation, so this look needs no lock.
    PERFORM
    FROM "public".seat_reservations AS hold
    WHERE
        hold.show_id = p_show_id
        AND hold.id = (
            SELECT found.reservation_id
            FROM "public".ticket_orders AS found
            WHERE
                found.show_id = p_show_id
                AND found.id = p_order_id
        )
    FOR UPDATE;

    SELECT locked.*
    INTO v_order
    FROM "public".ticket_orders AS locked
    WHERE
        locked.show_id = p_show_id
        AND locked.id = p_order_id
    FOR UPDATE;
    RETURN v_order;
END;
$$;


--
-- Name: FUNCTION lock_order(p_show_id uuid, p_order_id uuid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.lock_order(p_show_id uuid, p_order_id uuid) IS 'Locks an order and its reservation and returns the order as it is then; a row of NULLs when there is none. Internal.';


--
-- Name: seat_reservations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.seat_reservations (
    id uuid DEFAULT public.uuid_v7() NOT NULL,
    show_id uuid NOT NULL,
    reservation_token text DEFAULT encode((uuid_send(public.uuid_v7()) || uuid_send(gen_random_uuid())), 'hex'::text) NOT NULL,
    session_id character varying(200) NOT NULL,
    user_id character varying(200),
    email character varying(320),
    user_agent character varying(1000),
    ip_address inet,
    status text DEFAULT 'active'::text NOT NULL,
    is_active boolean GENERATED ALWAYS AS ((status = 'active'::text)) STORED NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    extension_count integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT seat_reservations_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT seat_reservations_ended_at_check CHECK ((((status = 'active'::text) = (ended_at IS NULL)) AND isfinite(ended_at))),
    CONSTRAINT seat_reservations_expires_at_check CHECK (isfinite(expires_at)),
    CONSTRAINT seat_reservations_extension_count_check CHECK ((extension_count >= 0)),
    CONSTRAINT seat_reservations_session_id_check CHECK (((session_id)::text ~ '[^[:space:]]'::text)),
    CONSTRAINT seat_reservations_status_check CHECK ((status = ANY (ARRAY['active'::text, 'completed'::text, 'released'::text, 'expired'::text])))
);


--
-- Name: TABLE seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.seat_reservations IS 'Holds on seats, past and present. A hold is over when expires_at has come, whether or not cleanup has run.';


--
-- Name: COLUMN seat_reservations.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.id IS 'Key, together with the show.';


--
-- Name: COLUMN seat_reservations.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN seat_reservations.reservation_token; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.reservation_token IS 'Secret that the buyer shows, together with the session, to extend, release or order.';


--
-- Name: COLUMN seat_reservations.session_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.session_id IS 'The session of the shop that holds the seats.';


--
-- Name: COLUMN seat_reservations.user_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.user_id IS 'The account of the shop, where the buyer is logged in.';


--
-- Name: COLUMN seat_reservations.email; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.email IS 'Address of the buyer, where known. Personal.';


--
-- Name: COLUMN seat_reservations.user_agent; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.user_agent IS 'Browser of the buyer, where known. Personal.';


--
-- Name: COLUMN seat_reservations.ip_address; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.ip_address IS 'Address of the buyer, where known. Personal.';


--
-- Name: COLUMN seat_reservations.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.status IS 'active, or how it ended: completed (sold), released (given back), expired (ran out).';


--
-- Name: COLUMN seat_reservations.is_active; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.is_active IS 'Whether it has not been ended. One that is over stays active until somebody ends it: ask for expires_at > now() too.';


--
-- Name: COLUMN seat_reservations.expires_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.expires_at IS 'When the hold is over. This column decides; it may be moved by hand.';


--
-- Name: COLUMN seat_reservations.extension_count; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.extension_count IS 'How often it has been extended.';


--
-- Name: COLUMN seat_reservations.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.created_at IS 'When the seats were held.';


--
-- Name: COLUMN seat_reservations.ended_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservations.ended_at IS 'When it was completed, released or found expired.';


--
-- Name: CONSTRAINT seat_reservations_created_at_check ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_created_at_check ON public.seat_reservations IS 'Finite.';


--
-- Name: CONSTRAINT seat_reservations_ended_at_check ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_ended_at_check ON public.seat_reservations IS 'Set exactly when it has ended.';


--
-- Name: CONSTRAINT seat_reservations_expires_at_check ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_expires_at_check ON public.seat_reservations IS 'Finite: a hold for ever would never be cleaned up.';


--
-- Name: CONSTRAINT seat_reservations_extension_count_check ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_extension_count_check ON public.seat_reservations IS 'Not negative.';


--
-- Name: CONSTRAINT seat_reservations_session_id_check ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_session_id_check ON public.seat_reservations IS 'Not blank.';


--
-- Name: CONSTRAINT seat_reservations_status_check ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_status_check ON public.seat_reservations IS 'The statuses there are.';


--
-- Name: lock_reservation(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.lock_reservation(p_reservation_token text) RETURNS public.seat_reservations
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_show_id uuid;
    v_id uuid;
    v_hold "public".seat_reservations;
BEGIN
    SELECT
        hold.show_id,
        hold.id
    INTO
        v_show_id,
        v_id
    FROM "public".seat_reservations AS hold
    WHERE hold.reservation_token = p_reservation_token;

    SELECT hold.*
    INTO v_hold
    FROM "public".seat_reservations AS hold
    WHERE
        hold.show_id = v_show_id
        AND hold.id = v_id
    FOR UPDATE;
    RETURN v_hold;
END;
$$;


--
-- Name: FUNCTION lock_reservation(p_reservation_token text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.lock_reservation(p_reservation_token text) IS 'Locks the reservation with this token and returns it as it is then; a row of NULLs when there is none. Who decides by what it returns changes the row, too: at REPEATABLE READ a lock alone makes nobody fail who decided otherwise. Internal.';


--
-- Name: lock_wait_totals(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.lock_wait_totals(OUT waiting_sessions bigint, OUT longest_wait_seconds double precision) RETURNS record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;


--
-- Name: FUNCTION lock_wait_totals(OUT waiting_sessions bigint, OUT longest_wait_seconds double precision); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.lock_wait_totals(OUT waiting_sessions bigint, OUT longest_wait_seconds double precision) IS 'Sessions of this database that wait for a lock, and for how many seconds the longest has. For the views.';


--
-- Name: log_api_request(text, text, integer, double precision); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_api_request(p_endpoint text, p_method text, p_status_code integer, p_duration_ms double precision) RETURNS void
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
INSERT INTO "public".api_request_log (endpoint, method, status_code, duration_ms)
VALUES (
    COALESCE(NULLIF(left(p_endpoint, 200), ''), 'unknown'),
    COALESCE(substring(upper(p_method) FROM '^[A-Z]{1,20}$'), 'UNKNOWN'),
    LEAST(GREATEST(COALESCE(p_status_code, 599), 100), 599),
    -- NULL counts as 0, and NaN sorts above every number, infinity included.
    LEAST(GREATEST(p_duration_ms, 0), 86400000)
);
$_$;


--
-- Name: FUNCTION log_api_request(p_endpoint text, p_method text, p_status_code integer, p_duration_ms double precision); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_api_request(p_endpoint text, p_method text, p_status_code integer, p_duration_ms double precision) IS 'Records a request: route with placeholders in place of ids, HTTP method, HTTP status, duration in milliseconds.';


--
-- Name: log_change(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "TimeZone" TO 'UTC'
    SET extra_float_digits TO '1'
    AS $$
DECLARE
    v_old constant jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    v_new constant jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    v_key constant text[] := string_to_array(TG_ARGV[0], ',');
    v_masked constant text[] := string_to_array(TG_ARGV[1], ',');
    -- What the trigger is for: another one tells the rest of the same change.
    v_columns constant text[] := ARRAY(
        SELECT columns.attname::text
        FROM pg_trigger AS trigger
        INNER JOIN pg_attribute AS columns
            ON
                columns.attrelid = trigger.tgrelid
                AND columns.attnum > 0
                AND NOT columns.attisdropped
                AND (columns.attnum = ANY(trigger.tgattr) OR cardinality(trigger.tgattr::smallint[]) = 0)
        WHERE
            trigger.tgrelid = TG_RELID
            AND trigger.tgname = TG_NAME
    );
BEGIN
    INSERT INTO "public".change_log (table_name, operation, row_key, old_values, new_values)
    SELECT
        TG_TABLE_NAME,
        lower(TG_OP),
        jsonb_object_agg(changed.name, COALESCE(v_old, v_new) -> changed.name)
        FILTER (WHERE changed.name = ANY(v_key)),
        jsonb_object_agg(changed.name, changed.old_value)
        FILTER (WHERE v_old IS NOT NULL AND changed.differs),
        jsonb_object_agg(changed.name, changed.new_value)
        FILTER (WHERE v_new IS NOT NULL AND changed.differs)
    FROM (
        SELECT
            columns.name,
            columns.name = ANY(v_columns)
            AND v_old -> columns.name IS DISTINCT FROM v_new -> columns.name AS differs,
            CASE
                WHEN columns.name = ANY(v_masked) AND v_old -> columns.name <> 'null'
                    THEN to_jsonb('***'::text)
                ELSE v_old -> columns.name
            END AS old_value,
            CASE
                WHEN columns.name = ANY(v_masked) AND v_new -> columns.name <> 'null'
                    THEN to_jsonb('***'::text)
                ELSE v_new -> columns.name
            END AS new_value
        FROM jsonb_object_keys(COALESCE(v_new, v_old)) AS columns (name)
    ) AS changed
    HAVING bool_or(changed.differs);
    RETURN NULL;
END;
$$;


--
-- Name: FUNCTION log_change(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_change() IS 'Trigger: writes a change of a row into change_log. Arguments: the columns of the key, and those whose values are masked.';


--
-- Name: log_horizon(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_horizon() RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '4 months') AT TIME ZONE 'UTC';
$$;


--
-- Name: FUNCTION log_horizon(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_horizon() IS 'Up to when each log is to have a partition a month: this month (UTC) and three more.';


--
-- Name: log_new_seats(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_new_seats() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO "public".change_log (
        table_name, operation, row_key, rows_changed, new_values
    )
    SELECT
        TG_TABLE_NAME,
        'insert',
        jsonb_build_object('show_id', new_seats.show_id),
        count(*),
        jsonb_build_object(
            'status', jsonb_agg(DISTINCT new_seats.status),
            'lowest_price_in_cents', min(new_seats.price_in_cents),
            'highest_price_in_cents', max(new_seats.price_in_cents)
        )
    FROM new_seats
    GROUP BY new_seats.show_id;
    RETURN NULL;
END;
$$;


--
-- Name: FUNCTION log_new_seats(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_new_seats() IS 'Trigger: writes how many seats a statement has added to which show into change_log.';


--
-- Name: log_order_failure(text, text, text, uuid, uuid, uuid, text, text, bigint, text, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_order_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_order_id uuid DEFAULT NULL::uuid, p_reservation_id uuid DEFAULT NULL::uuid, p_session_id text DEFAULT NULL::text, p_old_status text DEFAULT NULL::text, p_amount_in_cents bigint DEFAULT NULL::bigint, p_payment_provider text DEFAULT NULL::text, p_detail jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO "public".ticket_order_audit_log (
        order_id, reservation_id, show_id, session_id, old_status, amount_in_cents,
        payment_provider, error_code, error_message, metadata
    )
    VALUES (
        p_order_id,
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        p_old_status,
        p_amount_in_cents,
        left(p_payment_provider, 200),
        p_error_code,
        p_error_message,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$$;


--
-- Name: FUNCTION log_order_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_order_id uuid, p_reservation_id uuid, p_session_id text, p_old_status text, p_amount_in_cents bigint, p_payment_provider text, p_detail jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_order_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_order_id uuid, p_reservation_id uuid, p_session_id text, p_old_status text, p_amount_in_cents bigint, p_payment_provider text, p_detail jsonb) IS 'Writes a refused call about an order into ticket_order_audit_log. Internal.';


--
-- Name: log_partitions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_partitions() RETURNS TABLE(log text, ends_at timestamp with time zone, has_strays boolean, oldest_ends_at timestamp with time zone)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 4
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET "TimeZone" TO 'UTC'
    AS $_$
BEGIN
    FOR log IN SELECT logs.name FROM "public".partitioned_logs() AS logs (name) LOOP
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
        WHERE link.inhparent = to_regclass(format('%I.%I', 'public', log));

        -- Not those from a clock that is wrong: no month is made for them.
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I AS event WHERE event.created_at < $1)',
            'public', log || '_default'
        )
        INTO has_strays
        USING "public".log_horizon();
        RETURN NEXT;
    END LOOP;
END;
$_$;


--
-- Name: FUNCTION log_partitions(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_partitions() IS 'Up to when each log has partitions, whether its default partition has rows that maintain_partitions() would move, and up to when its oldest month goes. For the view health.';


--
-- Name: log_reservation_failure(text, text, text, uuid, uuid, text, uuid[], text, inet, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_reservation_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_reservation_id uuid, p_session_id text, p_seat_ids uuid[] DEFAULT NULL::uuid[], p_user_agent text DEFAULT NULL::text, p_ip_address inet DEFAULT NULL::inet, p_detail jsonb DEFAULT '{}'::jsonb) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '250ms'
    AS $$
BEGIN
    INSERT INTO "public".seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids, error_code,
        error_message, user_agent, ip_address, metadata
    )
    VALUES (
        'failed',
        p_reservation_id,
        COALESCE(p_show_id, '00000000-0000-0000-0000-000000000000'),
        left(p_session_id, 200),
        COALESCE(cardinality(p_seat_ids), 0),
        COALESCE(p_seat_ids[:100], '{}'),
        p_error_code,
        p_error_message,
        left(p_user_agent, 1000),
        p_ip_address,
        jsonb_build_object('function', p_function) || p_detail
    );
END;
$$;


--
-- Name: FUNCTION log_reservation_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_reservation_id uuid, p_session_id text, p_seat_ids uuid[], p_user_agent text, p_ip_address inet, p_detail jsonb); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_reservation_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_reservation_id uuid, p_session_id text, p_seat_ids uuid[], p_user_agent text, p_ip_address inet, p_detail jsonb) IS 'Writes a refused call about a hold into seat_reservation_audit_log. Raises lock_not_available where the log is locked. Internal.';


--
-- Name: log_tail(text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.log_tail(p_log text, OUT from_xact_id xid8, OUT below_xact_id xid8, OUT after_id bigint) RETURNS record
    LANGUAGE sql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
SELECT
    mark.watermark,
    CASE
        WHEN mark.restored_id = 0 THEN '18446744073709551615'::xid8
        -- Rows of another server may bear any number: what is beyond the present need not be read.
        ELSE "public".next_xact_id(
            GREATEST(pg_snapshot_xmax(pg_current_snapshot()), pg_current_xact_id_if_assigned())
        )
    END,
    mark.restored_id
FROM "public".metric_watermarks AS mark
WHERE mark.log = p_log;
$$;


--
-- Name: FUNCTION log_tail(p_log text, OUT from_xact_id xid8, OUT below_xact_id xid8, OUT after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.log_tail(p_log text, OUT from_xact_id xid8, OUT below_xact_id xid8, OUT after_id bigint) IS 'The part of a log that is not rolled up yet: transactions from from_xact_id to below below_xact_id, rows beyond after_id. Internal.';


--
-- Name: maintain_partitions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.maintain_partitions() RETURNS TABLE(created_partition text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '100ms'
    AS $_$
DECLARE
    v_schema constant text := 'public';
    v_horizon constant timestamp := "public".log_horizon() AT TIME ZONE 'UTC';
    v_table text;
    v_parent text;
    v_columns text;
    v_month date;
    v_strays date[];
    v_created text[];
BEGIN
    FOR v_table IN SELECT logs.name FROM "public".partitioned_logs() AS logs (name) LOOP
        v_parent := format('%I.%I', v_schema, v_table);
        v_created := '{}';
        BEGIN
            v_created := v_created || "public".create_log_partition(v_table);

            -- Rows that came while their month had no partition. Those beyond the horizon stay: a
            -- clock was wrong.
            EXECUTE format(
                'SELECT array_agg(DISTINCT date_trunc(''month'', created_at AT TIME ZONE '
                '''UTC'')::date) '
                'FROM %I.%I WHERE created_at < %L::timestamp AT TIME ZONE ''UTC''',
                v_schema, v_table || '_default', to_char(v_horizon, 'YYYY-MM-DD')
            ) INTO v_strays;
            IF v_strays IS NOT NULL THEN
                -- They cannot be deleted from an append-only table, so the table goes and its rows
                -- are routed anew.
                EXECUTE format(
                    'ALTER TABLE %1$s DETACH PARTITION %2$I.%3$I', v_parent, v_schema,
                    v_table || '_default'
                );
                EXECUTE format(
                    'ALTER TABLE %I.%I RENAME TO %I', v_schema, v_table || '_default',
                    v_table || '_strays'
                );
                PERFORM "public".create_log_partition(v_table);
            END IF;

            FOR v_month IN
                SELECT months.first_day::date
                FROM generate_series(
                    date_trunc('month', now() AT TIME ZONE 'UTC'),
                    v_horizon - interval '1 month',
                    interval '1 month'
                ) AS months (first_day)
                UNION
                SELECT strays.first_day
                FROM unnest(v_strays) AS strays (first_day)
                ORDER BY 1
            LOOP
                v_created := v_created || "public".create_log_partition(v_table, v_month);
            END LOOP;

            IF v_strays IS NOT NULL THEN
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                INTO v_columns
                FROM pg_attribute AS a
                WHERE a.attrelid = v_parent::regclass AND a.attnum > 0 AND NOT a.attisdropped;
                EXECUTE format(
                    'INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM %3$I.%4$I',
                    v_parent, v_columns, v_schema, v_table || '_strays'
                );
                EXECUTE format('DROP TABLE %I.%I', v_schema, v_table || '_strays');
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING 'partitions of % are left for the next time: %', v_table, SQLERRM;
                v_created := '{}';
        END;
        RETURN QUERY
        SELECT created.name
        FROM unnest(v_created) AS created (name)
        WHERE created.name IS NOT NULL;
    END LOOP;
    PERFORM "public".revoke_default_privileges();
END;
$_$;


--
-- Name: FUNCTION maintain_partitions(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.maintain_partitions() IS 'Makes the partitions of the logs for this month and three more, moves rows out of the default partitions where their month has one now, and returns the names of those created. Leaves a log that somebody has locked for the next time, with a warning.';


--
-- Name: maintenance_backlog(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.maintenance_backlog() RETURNS TABLE(task text, behind_seconds double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 8
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET "TimeZone" TO 'UTC'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_settings "public".ticketing_settings;
BEGIN
    SELECT settings.* INTO v_settings FROM "public".ticketing_settings AS settings;
    RETURN QUERY
    WITH logs AS MATERIALIZED (
        SELECT log.*
        FROM "public".log_partitions() AS log
    )

    SELECT
        due.task,
        GREATEST(extract(EPOCH FROM now() - due.since), 0)::double precision
    FROM (
        -- The month that is missing was due when the one came that is as many months before it.
        SELECT
            'partitions of ' || log.log AS task,
            log.ends_at - age("public".log_horizon(), date_trunc('month', now()))
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
                    FROM "public".seat_reservations AS hold
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
                    FROM "public".ticket_orders AS failed
                    WHERE failed.error_message IS NOT NULL
                )
            ) + make_interval(hours => 24 * v_settings.personal_data_retention_days) AS since
    ) AS due;
END;
$$;


--
-- Name: FUNCTION maintenance_backlog(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.maintenance_backlog() IS 'What maintain_partitions() and purge_history() have to do, and for how many seconds it has been due; 0 where there is nothing to do. For the view health.';


--
-- Name: merge_minor_endpoints(timestamp with time zone[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.merge_minor_endpoints(p_minutes timestamp with time zone[]) RETURNS void
    LANGUAGE sql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
WITH crowded AS MATERIALIZED (
    SELECT counted.minute
    FROM "public".api_request_minutes AS counted
    WHERE counted.minute = ANY(p_minutes)
    GROUP BY counted.minute
    HAVING count(*) FILTER (WHERE counted.endpoint <> 'other') > "public".endpoint_limit()
),

minor AS MATERIALIZED (
    SELECT
        ranked.minute,
        ranked.endpoint
    FROM (
        SELECT
            crowded.minute,
            busy.endpoint,
            row_number() OVER (
                PARTITION BY crowded.minute
                ORDER BY busy.requests DESC, busy.endpoint COLLATE "C" ASC
            ) AS place
        FROM crowded
        CROSS JOIN LATERAL (
            SELECT
                hour.endpoint,
                sum(hour.requests) AS requests
            FROM "public".api_request_minutes AS hour
            WHERE
                hour.minute > crowded.minute - interval '1 hour'
                AND hour.minute <= crowded.minute
                AND hour.endpoint <> 'other'
            GROUP BY hour.endpoint
            HAVING bool_or(hour.minute = crowded.minute)
        ) AS busy
    ) AS ranked
    WHERE ranked.place > "public".endpoint_limit()
),

requests AS (
    DELETE FROM "public".api_request_minutes AS counted
    USING minor
    WHERE
        counted.minute = minor.minute
        AND counted.endpoint = minor.endpoint
    RETURNING counted.*
),

durations AS (
    DELETE FROM "public".api_duration_minutes AS counted
    USING minor
    WHERE
        counted.minute = minor.minute
        AND counted.endpoint = minor.endpoint
    RETURNING counted.*
),

merged AS (
    INSERT INTO "public".api_request_minutes (
        minute, endpoint, requests, errors, duration_microseconds
    )
    SELECT
        requests.minute,
        'other',
        sum(requests.requests),
        sum(requests.errors),
        sum(requests.duration_microseconds)
    FROM requests
    GROUP BY requests.minute
    ON CONFLICT (minute, endpoint) DO UPDATE SET
        requests = api_request_minutes.requests + excluded.requests,
        errors = api_request_minutes.errors + excluded.errors,
        duration_microseconds
        = api_request_minutes.duration_microseconds + excluded.duration_microseconds
)

INSERT INTO "public".api_duration_minutes (minute, endpoint, duration_bucket, requests)
SELECT
    durations.minute,
    'other',
    durations.duration_bucket,
    sum(durations.requests)
FROM durations
GROUP BY
    durations.minute,
    durations.duration_bucket
ON CONFLICT (minute, endpoint, duration_bucket) DO UPDATE SET
    requests = api_duration_minutes.requests + excluded.requests;
$$;


--
-- Name: FUNCTION merge_minor_endpoints(p_minutes timestamp with time zone[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.merge_minor_endpoints(p_minutes timestamp with time zone[]) IS 'Adds up as "other" those endpoints of these minutes of the rollups that are not among the busiest. Internal.';


--
-- Name: next_xact_id(xid8); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.next_xact_id(p_xact_id xid8) RETURNS xid8
    LANGUAGE sql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
SELECT (p_xact_id::text::numeric + 1)::text::xid8;
$$;


--
-- Name: FUNCTION next_xact_id(p_xact_id xid8); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.next_xact_id(p_xact_id xid8) IS 'The transaction number after this one. Internal.';


--
-- Name: nth_xact_id(text, xid8, xid8, bigint, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.nth_xact_id(p_log text, p_from xid8, p_below xid8, p_after_id bigint, p_rows_before integer) RETURNS xid8
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    v_xact_id xid8;
BEGIN
    EXECUTE format(
        'SELECT event.xact_id FROM %I.%I AS event '
        'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3 '
        'ORDER BY event.xact_id OFFSET $4 LIMIT 1',
        'public',
        p_log
    )
    INTO v_xact_id
    USING p_from, p_below, p_after_id, p_rows_before;
    RETURN v_xact_id;
END;
$_$;


--
-- Name: FUNCTION nth_xact_id(p_log text, p_from xid8, p_below xid8, p_after_id bigint, p_rows_before integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.nth_xact_id(p_log text, p_from xid8, p_below xid8, p_after_id bigint, p_rows_before integer) IS 'Transaction of the row that has so many before it among the transactions from p_from to below p_below of a log, rows beyond p_after_id; NULL where there are fewer. Internal.';


--
-- Name: open_transactions(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.open_transactions() RETURNS TABLE(role_name text, state text, is_here boolean, xid_age integer, age_seconds double precision, idle_seconds double precision)
    LANGUAGE sql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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
$$;


--
-- Name: FUNCTION open_transactions(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.open_transactions() IS 'Transactions that are open on this server, prepared ones included: role, state, whether in this database, how many transactions have begun since it got its number (NULL while it has none), and for how many seconds it has been open and idle. For the views.';


--
-- Name: order_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.order_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS TABLE(minute timestamp with time zone, currency text, orders bigint, failed_orders bigint, paid_orders bigint, revenue_in_cents bigint, tickets bigint, payments bigint)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        date_bin('1 minute', figure.at, '2000-01-01 00:00+00') AS minute,
        COALESCE(event.currency, 'none') AS currency,
        sum(figure.orders)::bigint,
        sum(figure.failed_orders)::bigint,
        sum(figure.paid_orders)::bigint,
        COALESCE(sum(figure.paid_orders * event.amount_in_cents), 0)::bigint,
        COALESCE(sum(figure.tickets), 0)::bigint,
        sum(figure.payments)::bigint
    FROM "public".ticket_order_audit_log AS event
    CROSS JOIN LATERAL (
        VALUES
        (
            COALESCE(event.order_created_at, event.created_at),
            (event.old_status IS NULL)::integer,
            -- Into a status, and out of it again.
            (event.new_status = 'failed')::integer
            - COALESCE((event.old_status = 'failed')::integer, 0),
            (event.new_status = 'paid')::integer
            - COALESCE((event.old_status = 'paid')::integer, 0),
            0,
            0
        ),
        (
            event.created_at,
            0,
            0,
            0,
            CASE WHEN event.new_status = 'paid' THEN event.seat_count END,
            -- Whatever came from a payment provider, what was refused here included.
            (
                COALESCE(event.new_status IN ('paid', 'failed', 'refund_due'), false)
                OR COALESCE(
                    event.metadata ->> 'function' IN ('confirm_payment', 'fail_payment'), false
                )
            )::integer
        )
    ) AS figure (at, orders, failed_orders, paid_orders, tickets, payments)
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
        -- A refused call is no more than a sign of life, where it was a payment.
        AND (event.new_status IS NOT NULL OR figure.payments > 0)
    GROUP BY
        minute,
        COALESCE(event.currency, 'none');
END;
$$;


--
-- Name: FUNCTION order_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.order_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Orders, tickets and payments a minute and currency, of the transactions from p_from to below p_below, rows beyond p_after_id. Internal.';


--
-- Name: order_metrics(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.order_metrics(p_since timestamp with time zone) RETURNS TABLE(minute timestamp with time zone, currency text, orders bigint, failed_orders bigint, paid_orders bigint, revenue_in_cents bigint, tickets bigint, payments bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1500
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        rolled_up.minute,
        rolled_up.currency,
        rolled_up.orders,
        rolled_up.failed_orders,
        rolled_up.paid_orders,
        rolled_up.revenue_in_cents,
        rolled_up.tickets,
        rolled_up.payments
    FROM "public".order_minutes AS rolled_up
    WHERE rolled_up.minute >= p_since
    UNION ALL
    SELECT
        recent.minute,
        recent.currency,
        recent.orders,
        recent.failed_orders,
        recent.paid_orders,
        recent.revenue_in_cents,
        recent.tickets,
        recent.payments
    FROM "public".log_tail('ticket_order_audit_log') AS tail
    CROSS JOIN LATERAL "public".order_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE recent.minute >= p_since;
END;
$$;


--
-- Name: FUNCTION order_metrics(p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.order_metrics(p_since timestamp with time zone) IS 'Orders, tickets and payments from p_since on: rows of a minute and currency each, to be added up. A change of an order counts, with its sign, in the minute of its creation.';


--
-- Name: overdue_hold_totals(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.overdue_hold_totals(OUT overdue_holds bigint, OUT oldest_overdue_seconds double precision) RETURNS record
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    SELECT
        count(*),
        COALESCE(extract(EPOCH FROM now() - min(hold.expires_at))::double precision, 0)
    INTO
        overdue_holds,
        oldest_overdue_seconds
    FROM "public".seat_reservations AS hold
    WHERE
        hold.is_active
        AND hold.expires_at <= now();
END;
$$;


--
-- Name: FUNCTION overdue_hold_totals(OUT overdue_holds bigint, OUT oldest_overdue_seconds double precision); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.overdue_hold_totals(OUT overdue_holds bigint, OUT oldest_overdue_seconds double precision) IS 'Holds that are over and still active, and for how many seconds the oldest has been. For the views.';


--
-- Name: overdue_holds(integer, integer, timestamp with time zone, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.overdue_holds(p_limit integer, p_portion_size integer, p_after_expires_at timestamp with time zone, p_after_id uuid) RETURNS TABLE(show_id uuid, reservation_ids uuid[], last_expires_at timestamp with time zone, last_id uuid)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    WITH oldest AS MATERIALIZED (
        SELECT
            hold.id,
            hold.show_id,
            hold.expires_at
        FROM "public".seat_reservations AS hold
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
$$;


--
-- Name: FUNCTION overdue_holds(p_limit integer, p_portion_size integer, p_after_expires_at timestamp with time zone, p_after_id uuid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.overdue_holds(p_limit integer, p_portion_size integer, p_after_expires_at timestamp with time zone, p_after_id uuid) IS 'The oldest p_limit active reservations that are over, beyond the given one, in portions of at most p_portion_size of one show; each row repeats which was the last of all. Internal.';


--
-- Name: partial_refunds(timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.partial_refunds(p_since timestamp with time zone) RETURNS TABLE(ordered_at timestamp with time zone, currency text, refunded_in_cents bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 10
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        paid.created_at,
        paid.currency,
        paid.refunded_amount_in_cents
    FROM "public".ticket_orders AS paid
    WHERE
        paid.status = 'paid'
        AND paid.refunded_amount_in_cents > 0
        AND paid.created_at >= p_since;
END;
$$;


--
-- Name: FUNCTION partial_refunds(p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.partial_refunds(p_since timestamp with time zone) IS 'Orders since p_since that are paid and of which a part was given back: when they were ordered, and how much of them it was in the minor unit. For the views.';


--
-- Name: partitioned_logs(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.partitioned_logs() RETURNS SETOF text
    LANGUAGE sql IMMUTABLE ROWS 4
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
VALUES
('seat_reservation_audit_log'), ('ticket_order_audit_log'), ('api_request_log'), ('change_log');
$$;


--
-- Name: FUNCTION partitioned_logs(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.partitioned_logs() IS 'Names of the tables that have a partition a month, without the schema.';


--
-- Name: purge_history(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_history() RETURNS TABLE(object text, rows_removed bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET "DateStyle" TO 'ISO'
    SET "TimeZone" TO 'UTC'
    SET lock_timeout TO '3s'
    AS $_$
DECLARE
    v_schema constant text := 'public';
    v_settings "public".ticketing_settings;
    v_partition record;
    v_logs text[] := '{}'::text[];
    v_partitions text[] := '{}'::text[];
    v_rows bigint[] := '{}'::bigint[];
    v_is_needed boolean;
BEGIN
    SELECT settings.* INTO v_settings FROM "public".ticketing_settings AS settings;
    BEGIN
        RETURN QUERY SELECT purged.* FROM "public".purge_rollups() AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the rollups are left for the next time: %', SQLERRM;
    END;
    BEGIN
        RETURN QUERY SELECT purged.* FROM "public".purge_run_history() AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'the history of runs is left for the next time: %', SQLERRM;
    END;
    BEGIN
        RETURN QUERY SELECT purged.* FROM "public".purge_personal_data(50000) AS purged;
    EXCEPTION
        WHEN lock_not_available OR deadlock_detected THEN
            RAISE WARNING 'personal data is left for the next time: %', SQLERRM;
    END;

    -- Months last: what is locked is locked until the end, and sellers wait for it.
    FOR v_partition IN
        SELECT
            logs.name AS log,
            child.relname::text AS name
        FROM "public".partitioned_logs() AS logs (name)
        INNER JOIN pg_inherits AS link
            ON link.inhparent = to_regclass(format('%I.%I', v_schema, logs.name))
        INNER JOIN pg_class AS child ON child.oid = link.inhrelid
        CROSS JOIN LATERAL substring(
            pg_get_expr(child.relpartbound, child.oid) FROM 'TO [(]''([^'']+)''[)]'
        ) AS upper_bound (value)
        WHERE
            upper_bound.value::timestamptz
            <= now() - make_interval(hours => 24 * v_settings.audit_retention_days)
            AND "public".is_restored_log(logs.name) IS NOT TRUE
        ORDER BY child.relname
    LOOP
        BEGIN
            -- They are counted while nothing is locked.
            EXECUTE format('SELECT count(*) FROM %I.%I', v_schema, v_partition.name)
            INTO rows_removed;
            v_partitions := v_partitions || v_partition.name;
            v_logs := v_logs || v_partition.log;
            v_rows := v_rows || rows_removed;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING '% is left for the next time: %', v_partition.name, SQLERRM;
        END;
    END LOOP;
    FOR v_number IN 1 .. cardinality(v_partitions) LOOP
        BEGIN
            -- Behind a long query we give up at once: the sellers would queue behind us.
            PERFORM set_config('lock_timeout', '100ms', true);
            -- As DROP would; and in its order, which is that of the writers, too.
            EXECUTE format(
                'LOCK TABLE ONLY %1$I.%2$I, %1$I.%3$I IN ACCESS EXCLUSIVE MODE',
                v_schema, v_logs[v_number], v_partitions[v_number]
            );
            -- What is not rolled up yet would be lost to the dashboards: health says why it is not.
            EXECUTE format(
                'SELECT EXISTS (SELECT FROM %I.%I AS event, %I.metric_watermarks AS mark '
                'WHERE mark.log = $1 AND event.xact_id >= mark.watermark '
                'AND event.id > mark.restored_id)',
                v_schema, v_partitions[v_number], v_schema
            )
            INTO v_is_needed
            USING v_logs[v_number];
            IF v_is_needed THEN
                RAISE EXCEPTION 'it is not rolled up yet' USING ERRCODE = 'lock_not_available';
            END IF;
            EXECUTE format('DROP TABLE %I.%I', v_schema, v_partitions[v_number]);
            object := v_partitions[v_number];
            rows_removed := v_rows[v_number];
            RETURN NEXT;
        EXCEPTION
            -- The locks are given back, too.
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING '% is left for the next time: %', v_partitions[v_number], SQLERRM;
        END;
    END LOOP;
END;
$_$;


--
-- Name: FUNCTION purge_history(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.purge_history() IS 'Drops partitions of the logs that are past audit_retention_days and rolled up, deletes rollups that no view reads any more, and runs of jobs past run_history_days, and empties personal columns past personal_data_retention_days. Leaves what somebody has locked for the next time, with a warning. Returns what was removed or emptied, and how many rows.';


--
-- Name: purge_personal_data(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_personal_data(p_limit integer) RETURNS TABLE(object text, rows_removed bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_before timestamptz;
BEGIN
    SELECT now() - make_interval(hours => 24 * settings.personal_data_retention_days)
    INTO v_before
    FROM "public".ticketing_settings AS settings;

    UPDATE "public".seat_reservations
    SET
        user_id = NULL,
        email = NULL,
        user_agent = NULL,
        ip_address = NULL
    WHERE
        -- By their place: any join might be planned as one with the whole table.
        seat_reservations.ctid = ANY(
            ARRAY(
                SELECT hold.ctid
                FROM "public".seat_reservations AS hold
                WHERE
                    hold.ended_at < v_before
                    AND hold.ended_at IS NOT NULL
                    AND (
                        hold.user_id IS NOT NULL
                        OR hold.email IS NOT NULL
                        OR hold.user_agent IS NOT NULL
                        OR hold.ip_address IS NOT NULL
                    )
                ORDER BY hold.ended_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'seat_reservations';
        RETURN NEXT;
    END IF;

    -- The provider's words may name people.
    UPDATE "public".ticket_orders
    SET error_message = NULL
    WHERE
        ticket_orders.ctid = ANY(
            ARRAY(
                SELECT failed.ctid
                FROM "public".ticket_orders AS failed
                WHERE
                    failed.created_at < v_before
                    AND failed.error_message IS NOT NULL
                ORDER BY failed.created_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            )
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'ticket_orders';
        RETURN NEXT;
    END IF;
END;
$$;


--
-- Name: FUNCTION purge_personal_data(p_limit integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.purge_personal_data(p_limit integer) IS 'Empties the personal columns of at most p_limit reservations and as many orders that are past personal_data_retention_days, the oldest first, and returns how many of each. Internal.';


--
-- Name: purge_rollups(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_rollups() RETURNS TABLE(object text, rows_removed bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    v_settings "public".ticketing_settings;
    v_rollup record;
BEGIN
    SELECT settings.* INTO v_settings FROM "public".ticketing_settings AS settings;

    -- Nobody may be adding to the rollups meanwhile: its words, say, to a message that goes.
    PERFORM
    FROM "public".metric_watermarks AS mark
    ORDER BY mark.log
    FOR UPDATE;

    FOR v_rollup IN
        SELECT rollups.*
        FROM (
            VALUES
            -- As far back as get_reservation_statistics() looks, a window of minutes included.
            ('reservation_minutes', 'minute', interval '8761 hours'),
            -- As long as the months of the log, of which the last day counts.
            (
                'reservation_show_minutes', 'minute',
                make_interval(hours => 24 * (v_settings.audit_retention_days + 31))
            ),
            ('order_minutes', 'minute', make_interval(hours => 24 * v_settings.audit_retention_days)),
            -- Beyond the longest window in which a view reads them.
            ('error_minutes', 'minute', interval '48 hours'),
            ('api_request_minutes', 'minute', interval '48 hours'),
            ('api_duration_minutes', 'minute', interval '48 hours'),
            ('extension_quarters', 'quarter', interval '240 hours'),
            ('extended_reservations', 'quarter', interval '240 hours')
        ) AS rollups (name, at, kept)
    LOOP
        EXECUTE format(
            'DELETE FROM %I.%I AS rolled_up WHERE rolled_up.%I < $1',
            'public', v_rollup.name, v_rollup.at
        )
        USING now() - v_rollup.kept;
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := v_rollup.name;
            RETURN NEXT;
        END IF;
    END LOOP;
    DELETE FROM "public".error_messages
    WHERE
        NOT EXISTS (
            SELECT
            FROM "public".error_minutes AS used
            WHERE used.message_sha256 = error_messages.message_sha256
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'error_messages';
        RETURN NEXT;
    END IF;
END;
$_$;


--
-- Name: FUNCTION purge_rollups(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.purge_rollups() IS 'Deletes rollups that no view reads any more, and returns from which tables and how many rows. Internal.';


--
-- Name: purge_run_history(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.purge_run_history() RETURNS TABLE(object text, rows_removed bigint)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    v_before timestamptz;
    v_last timestamptz;
BEGIN
    SELECT now() - make_interval(hours => 24 * settings.run_history_days)
    INTO v_before
    FROM "public".ticketing_settings AS settings;

    -- The last one that was not skipped stays, or it would look as if there had never been any.
    SELECT max(run.finished_at)
    INTO v_last
    FROM "public".reservation_cleanup_runs AS run
    WHERE run.status IN ('succeeded', 'failed');
    DELETE FROM "public".reservation_cleanup_runs
    WHERE reservation_cleanup_runs.finished_at < LEAST(v_before, v_last);
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'reservation_cleanup_runs';
        RETURN NEXT;
    END IF;

    -- pg_cron never purges its history. Only our jobs, those that are gone included: other people's
    -- is theirs. Runs that never began have no time, and go with those that came before them.
    IF "public".can_use_pg_cron() THEN
        EXECUTE
        $query$
        DELETE FROM cron.job_run_details AS detail
        WHERE
            detail.runid <= (
                SELECT max(old.runid)
                FROM cron.job_run_details AS old
                WHERE COALESCE(old.end_time, old.start_time) < $1
            )
            AND COALESCE(detail.end_time, detail.start_time, '-infinity') < $1
            AND (
                (detail.command = ANY($2) AND detail.database = current_database())
                OR detail.jobid IN (
                    SELECT job.jobid
                    FROM cron.job
                    WHERE
                        job.jobname = ANY($3)
                        AND job.database = current_database()
                )
            )
        $query$
        USING
            v_before,
            ARRAY(SELECT jobs.command FROM "public".scheduled_jobs() AS jobs),
            ARRAY(SELECT jobs.job_name FROM "public".scheduled_jobs() AS jobs);
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := 'cron.job_run_details';
            RETURN NEXT;
        END IF;
    END IF;
END;
$_$;


--
-- Name: FUNCTION purge_run_history(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.purge_run_history() IS 'Deletes runs of jobs past run_history_days, and returns from which tables and how many rows. Internal.';


--
-- Name: refund_order(uuid, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refund_order(p_show_id uuid, p_order_id uuid) RETURNS TABLE(success boolean, order_id uuid, status text, seats_released integer, error_code text, error_message text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Records: a row type would be looked up, and waited for, before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_seat_count integer;
    v_seat_ids uuid[];
    v_ticket_ids uuid[];
    v_has_waited boolean := false;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    PERFORM "public".commit_durably();
    LOOP
        BEGIN
            v_order := "public".lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('paid', 'refund_due') THEN 'ORDER_NOT_REFUNDABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            -- An order that is refund_due has no tickets: its seats are somebody else's by now, and
            -- nothing below finds a row.
            PERFORM
            FROM "public".show_seats AS seat
            WHERE
                v_order.status = 'paid'
                AND seat.show_id = p_show_id
                AND seat.id = ANY(v_order.seat_ids)
            ORDER BY seat.id
            FOR UPDATE;

            WITH returned AS (
                UPDATE "public".tickets
                SET status = 'refunded'
                WHERE
                    tickets.order_id = v_order.id
                    AND tickets.show_id = p_show_id
                    -- The valid ones, said so that the index of all valid ones does not apply.
                    AND tickets.status NOT IN ('cancelled', 'refunded')
                RETURNING
                    tickets.id,
                    tickets.show_seat_id
            )

            SELECT
                COALESCE(array_agg(returned.id ORDER BY returned.id), '{}'),
                COALESCE(array_agg(returned.show_seat_id), '{}')
            INTO
                v_ticket_ids,
                v_seat_ids
            FROM returned;

            UPDATE "public".reservation_seats
            SET released_at = now()
            WHERE
                reservation_seats.reservation_id = v_order.reservation_id
                AND reservation_seats.show_id = p_show_id
                AND reservation_seats.show_seat_id = ANY(v_seat_ids);

            UPDATE "public".show_seats
            SET status = 'available'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_seat_ids)
                AND show_seats.status = 'sold';

            IF v_order.status = 'refund_due' THEN
                -- Money that came for it besides, twice or in a wrong amount, has not been given
                -- back with it.
                UPDATE "public".refunds
                SET
                    status = 'done',
                    done_at = now()
                WHERE
                    refunds.order_id = v_order.id
                    AND refunds.show_id = p_show_id
                    AND refunds.status = 'due'
                    AND refunds.reason IN ('late_payment', 'show_cancelled');
            ELSIF v_order.refunded_amount_in_cents < v_order.total_amount_in_cents THEN
                INSERT INTO "public".refunds (
                    show_id, order_id, ticket_ids, amount_in_cents, currency, reason, status,
                    payment_provider, payment_event_id, done_at
                )
                SELECT
                    p_show_id,
                    v_order.id,
                    v_ticket_ids,
                    v_order.total_amount_in_cents - v_order.refunded_amount_in_cents,
                    v_order.currency,
                    CASE show.status
                        WHEN 'cancelled' THEN 'show_cancelled'
                        ELSE 'tickets_cancelled'
                    END,
                    'done',
                    v_order.payment_provider,
                    (
                        SELECT paid.event_id
                        FROM "public".payment_events AS paid
                        WHERE
                            paid.order_id = v_order.id
                            AND paid.show_id = p_show_id
                            AND paid.kind = 'payment'
                            AND paid.success
                    ),
                    now()
                FROM "public".shows AS show
                WHERE show.id = p_show_id;
            END IF;

            UPDATE "public".ticket_orders
            SET
                status = 'refunded',
                refunded_amount_in_cents = ticket_orders.total_amount_in_cents
            WHERE
                ticket_orders.show_id = p_show_id
                AND ticket_orders.id = v_order.id;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT "public".wait_for_others(v_since, v_seat_count) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        status := 'refunded';
        seats_released := cardinality(v_seat_ids);
    ELSE
        IF NOT v_has_waited THEN
            -- What is left of two seconds, should the log be locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := "public".error_message(error_code);
        PERFORM "public".log_order_failure(
            'refund_order', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$$;


--
-- Name: FUNCTION refund_order(p_show_id uuid, p_order_id uuid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refund_order(p_show_id uuid, p_order_id uuid) IS 'Records that a paid order, or one that is refund_due, was refunded, in refunds too, and frees its seats. Error codes: NOT_FOUND, ORDER_NOT_REFUNDABLE, BUSY (after 2 s; try again), INTERNAL_ERROR.';


--
-- Name: refuse_change(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.refuse_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
    USING ERRCODE = 'restrict_violation', HINT = TG_ARGV[0];
END;
$$;


--
-- Name: FUNCTION refuse_change(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.refuse_change() IS 'Trigger: raises restrict_violation (23001). Guards append-only tables and the one row of settings.';


--
-- Name: release_reservation(text, text, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.release_reservation(p_reservation_token text, p_session_id text, p_seat_ids uuid[] DEFAULT NULL::uuid[]) RETURNS TABLE(success boolean, reservation_id uuid, seats_released integer, error_code text, error_message text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- A record: a row type would be looked up, and waited for, before the block begins.
    v_hold record;
    v_show_id uuid;
    v_held_ids uuid[];
    v_wanted_ids uuid[];
    v_detail jsonb := '{}'::jsonb;
BEGIN
    LOOP
        BEGIN
            v_hold := "public".lock_reservation(p_reservation_token);
            reservation_id := v_hold.id;
            v_show_id := v_hold.show_id;
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_held_ids
            FROM "public".reservation_seats AS claim
            WHERE
                claim.reservation_id = v_hold.id
                AND claim.show_id = v_hold.show_id;
            v_wanted_ids := CASE
                WHEN p_seat_ids IS NULL THEN v_held_ids
                ELSE ARRAY(SELECT DISTINCT wanted.id FROM unnest(p_seat_ids) AS wanted (id))
            END;
            error_code := CASE
                WHEN v_hold.id IS NULL THEN 'NOT_FOUND'
                WHEN v_hold.session_id IS DISTINCT FROM p_session_id THEN 'PERMISSION_DENIED'
                WHEN v_hold.status <> 'active' OR v_hold.expires_at <= clock_timestamp()
                    THEN 'RESERVATION_INACTIVE'
                WHEN cardinality(v_wanted_ids) = 0 OR NOT v_wanted_ids <@ v_held_ids
                    THEN 'SEATS_NOT_FOUND'
            END;
            IF error_code IS NULL THEN
                -- What was ordered is no longer what is held. A payment that comes all the same
                -- will be refund_due.
                UPDATE "public".ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'released'
                WHERE
                    ticket_orders.reservation_id = v_hold.id
                    AND ticket_orders.show_id = v_hold.show_id
                    AND ticket_orders.status IN ('pending', 'failed');

                IF v_wanted_ids @> v_held_ids THEN
                    seats_released := "public".end_holds(
                        v_hold.show_id, ARRAY[v_hold.id], 'released'
                    );
                ELSE
                    PERFORM
                    FROM "public".show_seats AS seat
                    WHERE
                        seat.show_id = v_hold.show_id
                        AND seat.id = ANY(v_wanted_ids)
                    ORDER BY seat.id
                    FOR UPDATE;

                    -- The hold goes on with fewer seats, and who has decided by the seats that it
                    -- had (an order, at REPEATABLE READ) is to fail: a change of nothing does that.
                    UPDATE "public".seat_reservations
                    SET extension_count = seat_reservations.extension_count
                    WHERE
                        seat_reservations.id = v_hold.id
                        AND seat_reservations.show_id = v_hold.show_id;

                    UPDATE "public".reservation_seats
                    SET released_at = clock_timestamp()
                    WHERE
                        reservation_seats.reservation_id = v_hold.id
                        AND reservation_seats.show_id = v_hold.show_id
                        AND reservation_seats.show_seat_id = ANY(v_wanted_ids);

                    UPDATE "public".show_seats
                    SET
                        status = 'available',
                        reserved_by = NULL,
                        reserved_until = NULL
                    WHERE
                        show_seats.show_id = v_hold.show_id
                        AND show_seats.id = ANY(v_wanted_ids)
                        AND show_seats.reserved_by = v_hold.id;

                    -- The reservation goes on, so its trigger sees nothing.
                    INSERT INTO "public".seat_reservation_audit_log (
                        event_type, reservation_id, show_id, session_id, seat_count, seat_ids,
                        metadata
                    )
                    VALUES (
                        'released', v_hold.id, v_hold.show_id, v_hold.session_id,
                        cardinality(v_wanted_ids), v_wanted_ids, '{"partial": true}'
                    );
                    seats_released := cardinality(v_wanted_ids);
                END IF;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT "public".wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        seats_released := NULL;
        error_message := "public".error_message(error_code);
        PERFORM "public".log_reservation_failure(
            'release_reservation', error_code, error_message, v_show_id, reservation_id,
            p_session_id, p_seat_ids, p_detail => v_detail
        );
        reservation_id := NULL;
    END IF;
    RETURN NEXT;
END;
$$;


--
-- Name: FUNCTION release_reservation(p_reservation_token text, p_session_id text, p_seat_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.release_reservation(p_reservation_token text, p_session_id text, p_seat_ids uuid[]) IS 'Gives back seats of a hold; NULL seat ids: all, which ends it. Cancels an order that is not paid. Error codes: NOT_FOUND, PERMISSION_DENIED, RESERVATION_INACTIVE, SEATS_NOT_FOUND, BUSY (somebody else had it locked for 2 s), INTERNAL_ERROR.';


--
-- Name: remember_payment_intent(uuid, uuid, text, text); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.remember_payment_intent(p_show_id uuid, p_order_id uuid, p_payment_provider text, p_payment_intent_id text) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    AS $$
BEGIN
    IF p_payment_intent_id IS NOT NULL THEN
        INSERT INTO "public".payment_intents (
            payment_intent_id, payment_provider, order_id, show_id
        )
        VALUES (
            p_payment_intent_id, COALESCE(p_payment_provider, ''), p_order_id, p_show_id
        )
        ON CONFLICT DO NOTHING;
    END IF;
END;
$$;


--
-- Name: FUNCTION remember_payment_intent(p_show_id uuid, p_order_id uuid, p_payment_provider text, p_payment_intent_id text); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.remember_payment_intent(p_show_id uuid, p_order_id uuid, p_payment_provider text, p_payment_intent_id text) IS 'Keeps a payment that an order has named in payment_intents. Internal.';


--
-- Name: reservation_cleanup_job_runs(integer, timestamp with time zone); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.reservation_cleanup_job_runs(p_limit integer DEFAULT 10, p_since timestamp with time zone DEFAULT NULL::timestamp with time zone) RETURNS TABLE(jobname text, schedule text, active boolean, command text, status text, return_message text, start_time timestamp with time zone, end_time timestamp with time zone, scheduler text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET plan_cache_mode TO 'force_custom_plan'
    SET enable_seqscan TO 'off'
    SET enable_nestloop TO 'off'
    AS $$
DECLARE
    v_since timestamptz := p_since;
    v_has_pg_cron constant boolean := "public".can_use_pg_cron();
BEGIN
    IF p_since IS NULL THEN
        -- What is older than as many of our own is not among the last.
        SELECT min(newest.started_at)
        INTO v_since
        FROM (
            SELECT run.started_at
            FROM "public".reservation_cleanup_runs AS run
            ORDER BY run.id DESC
            LIMIT p_limit
        ) AS newest
        HAVING count(*) = p_limit;
    END IF;

    RETURN QUERY
    WITH own AS MATERIALIZED (
        (
            SELECT run.*
            FROM "public".reservation_cleanup_runs AS run
            WHERE p_since IS NULL
            ORDER BY run.id DESC
            LIMIT p_limit
        )
        UNION ALL
        SELECT run.*
        FROM "public".reservation_cleanup_runs AS run
        WHERE run.finished_at >= p_since
        UNION ALL
        SELECT run.*
        FROM "public".reservation_cleanup_runs AS run
        WHERE
            run.finished_at IS NULL
            AND p_since IS NOT NULL
    ),

    cron AS MATERIALIZED (
        SELECT run.*
        FROM "public".cron_cleanup_runs(p_limit, v_since) AS run
        WHERE v_has_pg_cron
    ),

    pairs AS MATERIALIZED (
        SELECT
            own.id,
            cron.*
        FROM own
        INNER JOIN cron ON cron.job_pid = own.backend_pid
        WHERE
            own.scheduler = 'pg_cron'
            -- Numbers of processes come again, though not within the minute.
            AND own.started_at > cron.start_time - interval '1 minute'
            AND own.started_at < COALESCE(cron.end_time, 'infinity') + interval '1 minute'
    ),

    known AS (
        SELECT
            max(own.started_at) OVER (ORDER BY own.id) AS at,
            own.id AS number,
            pair.jobname,
            pair.schedule,
            pair.active,
            pair.command,
            CASE
                WHEN own.status <> 'running' THEN own.status
                WHEN pair.end_time IS NOT NULL THEN pair.status
                -- The next run will say so.
                WHEN activity.pid IS NULL AND NOT pg_is_in_recovery() THEN 'failed'
                ELSE own.status
            END AS status,
            own.error_message,
            pair.return_message,
            own.reservations_expired,
            own.seats_released,
            own.started_at,
            COALESCE(own.finished_at, pair.end_time) AS finished_at,
            own.scheduler
        FROM own
        LEFT JOIN pairs AS pair ON pair.id = own.id
        LEFT JOIN pg_stat_activity AS activity ON activity.pid = own.backend_pid
    ),

    unknown AS (
        SELECT
            COALESCE(max(cron.start_time) OVER (ORDER BY cron.runid), cron.seen_at) AS at,
            cron.*
        FROM cron
        LEFT JOIN pairs AS pair ON pair.runid = cron.runid
        WHERE pair.runid IS NULL
    ),

    merged AS (
        SELECT
            known.at,
            known.number,
            COALESCE(known.jobname, 'cleanup-expired-reservations') AS jobname,
            known.schedule,
            COALESCE(known.active, true) AS active,
            COALESCE(known.command, 'CALL run_reservation_cleanup()') AS command,
            known.status,
            COALESCE(
                CASE WHEN known.status = 'failed' THEN known.return_message END,
                known.error_message,
                -- What it did is no reason why it failed.
                CASE
                    WHEN known.status <> 'failed'
                        THEN format(
                            '%s reservations expired, %s seats released',
                            known.reservations_expired,
                            known.seats_released
                        )
                END
            ) AS return_message,
            known.started_at AS start_time,
            known.finished_at AS end_time,
            known.scheduler
        FROM known
        UNION ALL
        SELECT
            unknown.at,
            unknown.runid,
            unknown.jobname,
            unknown.schedule,
            unknown.active,
            unknown.command,
            unknown.status,
            unknown.return_message,
            unknown.start_time,
            unknown.end_time,
            'pg_cron' AS scheduler
        FROM unknown
    )

    SELECT
        merged.jobname,
        merged.schedule,
        merged.active,
        merged.command,
        merged.status,
        merged.return_message,
        merged.start_time,
        merged.end_time,
        merged.scheduler
    FROM merged
    ORDER BY
        merged.at DESC,
        merged.scheduler,
        merged.number DESC
    LIMIT p_limit;
END;
$$;


--
-- Name: FUNCTION reservation_cleanup_job_runs(p_limit integer, p_since timestamp with time zone); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.reservation_cleanup_job_runs(p_limit integer, p_since timestamp with time zone) IS 'The last p_limit runs of the cleanup, of pg_cron and of everybody else, newest first, as far as they ended at or after p_since or have not ended; NULL for no bound. For the views.';


--
-- Name: reservation_events(xid8, xid8, bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.reservation_events(p_from xid8, p_below xid8, p_after_id bigint) RETURNS TABLE(show_id uuid, minute timestamp with time zone, created bigint, completed bigint, expired bigint, released bigint, extended bigint, failed bigint, failed_attempts bigint, race_conditions bigint, constraint_violations bigint, holds_ended bigint, hold_microseconds bigint, releases_ended bigint, release_microseconds bigint)
    LANGUAGE plpgsql STABLE ROWS 100
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        event.show_id,
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
        count(*) FILTER (WHERE event.event_type = 'created'),
        count(*) FILTER (WHERE event.event_type = 'completed'),
        count(*) FILTER (WHERE event.event_type = 'expired'),
        count(*) FILTER (WHERE event.event_type = 'released'),
        count(*) FILTER (WHERE event.event_type = 'extended'),
        count(*) FILTER (WHERE event.event_type = 'failed'),
        count(*) FILTER (WHERE event.event_type = 'failed' AND call.is_attempt),
        count(*) FILTER (
            WHERE
            event.event_type = 'failed'
            AND call.is_attempt
            AND (
                event.error_message LIKE '%taken by another%'
                OR event.error_code IN ('SEATS_UNAVAILABLE', 'BUSY')
            )
        ),
        count(*) FILTER (
            WHERE event.event_type = 'failed' AND event.error_message LIKE '%constraint%'
        ),
        count(length.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')),
        COALESCE(
            sum(length.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')), 0
        )::bigint,
        count(length.microseconds) FILTER (WHERE event.event_type = 'released'),
        COALESCE(sum(length.microseconds) FILTER (WHERE event.event_type = 'released'), 0)::bigint
    FROM "public".seat_reservation_audit_log AS event
    CROSS JOIN LATERAL (
        SELECT
            -- Three years: whatever is beyond, NaN included, is no length.
            CASE
                WHEN event.hold_seconds BETWEEN -1e8 AND 1e8
                    THEN round(event.hold_seconds * 1e6)::bigint
            END AS microseconds
    ) AS length
    CROSS JOIN LATERAL (
        -- To extend or give back what one has is no attempt to reserve. A line that names no
        -- function counts: what is unknown must not make the rate look better.
        SELECT starts_with(COALESCE(event.metadata ->> 'function', 'reserve_'), 'reserve_')
            AS is_attempt
    ) AS call
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
    GROUP BY
        event.show_id,
        minute;
END;
$$;


--
-- Name: FUNCTION reservation_events(p_from xid8, p_below xid8, p_after_id bigint); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.reservation_events(p_from xid8, p_below xid8, p_after_id bigint) IS 'Events of holds a show and minute, of the transactions from p_from to below p_below, rows beyond p_after_id. Internal.';


--
-- Name: reservation_metrics(timestamp with time zone, uuid); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.reservation_metrics(p_since timestamp with time zone, p_show_id uuid DEFAULT NULL::uuid) RETURNS TABLE(minute timestamp with time zone, created bigint, completed bigint, expired bigint, released bigint, extended bigint, failed bigint, failed_attempts bigint, race_conditions bigint, constraint_violations bigint, holds_ended bigint, hold_microseconds bigint, releases_ended bigint, release_microseconds bigint)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 1500
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
BEGIN
    RETURN QUERY
    SELECT
        rolled_up.minute,
        rolled_up.created,
        rolled_up.completed,
        rolled_up.expired,
        rolled_up.released,
        rolled_up.extended,
        rolled_up.failed,
        rolled_up.failed_attempts,
        rolled_up.race_conditions,
        rolled_up.constraint_violations,
        rolled_up.holds_ended,
        rolled_up.hold_microseconds,
        rolled_up.releases_ended,
        rolled_up.release_microseconds
    FROM "public".reservation_minutes AS rolled_up
    WHERE
        p_show_id IS NULL
        AND rolled_up.minute >= p_since
    UNION ALL
    SELECT
        of_show.minute,
        of_show.created,
        of_show.completed,
        of_show.expired,
        of_show.released,
        of_show.extended,
        of_show.failed,
        of_show.failed_attempts,
        of_show.race_conditions,
        of_show.constraint_violations,
        of_show.holds_ended,
        of_show.hold_microseconds,
        of_show.releases_ended,
        of_show.release_microseconds
    FROM "public".reservation_show_minutes AS of_show
    WHERE
        of_show.show_id = p_show_id
        AND of_show.minute >= p_since
    UNION ALL
    SELECT
        recent.minute,
        recent.created,
        recent.completed,
        recent.expired,
        recent.released,
        recent.extended,
        recent.failed,
        recent.failed_attempts,
        recent.race_conditions,
        recent.constraint_violations,
        recent.holds_ended,
        recent.hold_microseconds,
        recent.releases_ended,
        recent.release_microseconds
    FROM "public".log_tail('seat_reservation_audit_log') AS tail
    CROSS JOIN LATERAL "public".reservation_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE
        recent.minute >= p_since
        AND (p_show_id IS NULL OR recent.show_id = p_show_id);
END;
$$;


--
-- Name: FUNCTION reservation_metrics(p_since timestamp with time zone, p_show_id uuid); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.reservation_metrics(p_since timestamp with time zone, p_show_id uuid) IS 'Events of holds from p_since on, of one show or all: rows of a minute each, to be added up; a minute may have several.';


--
-- Name: reserve_seats(uuid, uuid[], text, text, text, text, inet); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.reserve_seats(p_show_id uuid, p_seat_ids uuid[], p_session_id text, p_user_id text DEFAULT NULL::text, p_email text DEFAULT NULL::text, p_user_agent text DEFAULT NULL::text, p_ip_address inet DEFAULT NULL::inet) RETURNS TABLE(success boolean, reservation_id uuid, reservation_token text, expires_at timestamp with time zone, seat_count integer, total_amount_in_cents bigint, currency text, error_code text, error_message text)
    LANGUAGE plpgsql SECURITY DEFINER ROWS 1
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET lock_timeout TO '100ms'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_wanted constant integer := cardinality(p_seat_ids);
    v_since constant timestamptz := clock_timestamp();
    -- Not now(): the transaction may be older than the hold.
    v_now timestamptz;
    v_look record;
    v_was_beaten boolean := false;
    v_has_waited boolean := false;
    v_constraint text;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    -- Values that do not fit the columns are refused here rather than by a CHECK.
    IF p_show_id IS NULL
        OR v_wanted IS NULL
        OR v_wanted = 0
        OR p_session_id IS NULL
        OR p_session_id !~ '[^[:space:]]'
        OR length(p_session_id) > 200
        OR length(p_user_id) > 200
        OR length(p_email) > 320
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    IF v_wanted > 10 THEN
        -- The limit that is set above does for ten.
        PERFORM "public".wait_for_others(v_since, v_wanted);
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            v_now := clock_timestamp();
            SELECT
                settings.max_seats_per_reservation,
                settings.hold_minutes,
                settings.async_conflict_log,
                show.status,
                show.currency,
                CASE WHEN own.expires_at > v_now THEN own.id END AS hold_id,
                seats.found,
                seats.free,
                seats.over_ids || CASE WHEN own.expires_at <= v_now THEN own.id END AS over_ids
            INTO v_look
            FROM (
                -- The limit tells the planner what it cannot know of a boolean key: one row. It
                -- would take the rest for costly enough to be compiled.
                SELECT
                    policy.max_seats_per_reservation,
                    policy.hold_minutes,
                    policy.async_conflict_log
                FROM "public".ticketing_settings AS policy
                WHERE policy.singleton
                LIMIT 1
            ) AS settings
            LEFT JOIN "public".shows AS show ON show.id = p_show_id
            LEFT JOIN "public".seat_reservations AS own
                ON
                    own.show_id = p_show_id
                    AND own.session_id = p_session_id
                    AND own.status = 'active'
            CROSS JOIN LATERAL (
                SELECT
                    count(*) AS found,
                    count(*) FILTER (
                        WHERE seat.status = 'available' OR seat.reserved_until <= v_now
                    ) AS free,
                    array_agg(seat.reserved_by) FILTER (
                        WHERE seat.reserved_until <= v_now
                    ) AS over_ids
                FROM "public".show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(p_seat_ids)
                    -- Thousands of seats are not looked up to be refused.
                    AND v_wanted <= settings.max_seats_per_reservation
            ) AS seats;

            IF v_look.found < v_wanted THEN
                -- Asked only where seats are missing. A NULL does not count as a seat, either.
                SELECT CASE WHEN count(DISTINCT wanted.id) < v_wanted THEN 'INVALID_INPUT' END
                INTO error_code
                FROM unnest(p_seat_ids) AS wanted (id);
                EXIT WHEN error_code IS NOT NULL;
            END IF;

            IF v_look.hold_id IS NOT NULL AND v_look.status <> 'cancelled' THEN
                -- Asked for before, and the answer got lost, or clicked twice? A hold of the very
                -- same seats is returned as it is. Locked, so that a snapshot of long ago does not
                -- show one that is gone.
                SELECT
                    hold.reservation_token,
                    hold.expires_at
                INTO
                    reservation_token,
                    expires_at
                FROM "public".seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = v_look.hold_id
                    AND hold.ended_at IS NULL
                FOR UPDATE;
                -- Ended by somebody who was waited for: there may be nothing in the way any more.
                CONTINUE WHEN NOT FOUND;

                SELECT
                    CASE WHEN expires_at > v_now THEN v_look.hold_id END,
                    sum(claim.price_in_cents)::bigint,
                    min(claim.currency)
                INTO
                    reservation_id,
                    total_amount_in_cents,
                    currency
                FROM "public".reservation_seats AS claim
                WHERE
                    claim.reservation_id = v_look.hold_id
                    AND claim.show_id = p_show_id
                    AND COALESCE(claim.released_at, 'infinity') = 'infinity'
                HAVING
                    count(*) = v_wanted
                    AND bool_and(claim.show_seat_id = ANY(p_seat_ids));
                EXIT WHEN reservation_id IS NOT NULL;
            END IF;

            error_code := CASE
                WHEN v_look.status IS DISTINCT FROM 'on_sale' THEN 'SHOW_NOT_ON_SALE'
                WHEN v_wanted > v_look.max_seats_per_reservation THEN 'TOO_MANY_SEATS'
                WHEN v_look.hold_id IS NOT NULL THEN 'DUPLICATE_RESERVATION'
                WHEN v_look.found < v_wanted THEN 'SEATS_NOT_FOUND'
                WHEN v_look.free < v_wanted THEN 'SEATS_UNAVAILABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF cardinality(array_remove(v_look.over_ids, NULL)) > 0 THEN
                -- They may have more seats than we want, and each somebody who has locked it.
                PERFORM "public".wait_for_others(
                    v_since, v_wanted * v_look.max_seats_per_reservation
                );
                PERFORM "public".expire_holds(p_show_id, v_look.over_ids, p_seat_ids);
            END IF;

            WITH locked AS (
                SELECT
                    seat.id,
                    seat.price_in_cents
                FROM "public".show_seats AS seat
                WHERE
                    seat.show_id = p_show_id
                    AND seat.id = ANY(p_seat_ids)
                    AND seat.status = 'available'
                ORDER BY seat.id
                FOR UPDATE
            ),

            hold AS (
                INSERT INTO "public".seat_reservations (
                    show_id, session_id, user_id, email, user_agent, ip_address, expires_at,
                    created_at
                )
                SELECT
                    p_show_id,
                    p_session_id,
                    p_user_id,
                    p_email,
                    left(p_user_agent, 1000),
                    p_ip_address,
                    v_now + make_interval(mins => v_look.hold_minutes),
                    v_now
                WHERE (SELECT count(*) FROM locked) = v_wanted
                RETURNING
                    seat_reservations.id,
                    seat_reservations.reservation_token,
                    seat_reservations.expires_at
            ),

            claims AS (
                INSERT INTO "public".reservation_seats (
                    reservation_id, show_seat_id, show_id, price_in_cents, currency
                )
                SELECT
                    hold.id,
                    locked.id,
                    p_show_id,
                    locked.price_in_cents,
                    v_look.currency
                FROM hold
                CROSS JOIN locked
            ),

            seats AS (
                UPDATE "public".show_seats
                SET
                    status = 'reserved',
                    reserved_by = hold.id,
                    reserved_until = hold.expires_at
                FROM hold
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids)
            )

            SELECT
                hold.id,
                hold.reservation_token,
                hold.expires_at,
                (SELECT sum(locked.price_in_cents)::bigint FROM locked)
            INTO
                reservation_id,
                reservation_token,
                expires_at,
                total_amount_in_cents
            FROM hold;

            currency := v_look.currency;
            EXIT WHEN reservation_id IS NOT NULL;

            -- Somebody was faster between the look and the lock, perhaps this very session: a
            -- second look tells. Nothing has been written.
            error_code := CASE WHEN v_was_beaten THEN 'SEATS_UNAVAILABLE' END;
            v_was_beaten := true;
        EXCEPTION
            WHEN serialization_failure THEN
                -- Only in REPEATABLE READ and above, whose callers retry on this SQLSTATE.
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT "public".wait_for_others(v_since, v_wanted) THEN
                    error_code := 'SEATS_UNAVAILABLE';
                END IF;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS v_constraint = CONSTRAINT_NAME;
                error_code := CASE v_constraint
                    WHEN 'reservation_seats_no_double_booking' THEN 'DOUBLE_BOOKING_PREVENTED'
                    WHEN 'seat_reservations_one_active_per_session' THEN 'DUPLICATE_RESERVATION'
                    ELSE 'INTERNAL_ERROR'
                END;
                IF error_code = 'INTERNAL_ERROR' THEN
                    v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                ELSIF error_code = 'DUPLICATE_RESERVATION' THEN
                    -- This session was faster elsewhere, and its hold may be the one asked for.
                    IF current_setting('transaction_isolation') IN (
                        'repeatable read', 'serializable'
                    ) THEN
                        RAISE EXCEPTION 'the session has reserved since the transaction began'
                        USING ERRCODE = 'serialization_failure';
                    ELSIF "public".wait_for_others(v_since) THEN
                        error_code := NULL;
                    END IF;
                END IF;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        seat_count := v_wanted;
    ELSE
        -- What an attempt that failed has found is no answer.
        reservation_id := NULL;
        reservation_token := NULL;
        expires_at := NULL;
        total_amount_in_cents := NULL;
        currency := NULL;
        -- Where nothing has been written so far and the shop says that nothing will be, the commit
        -- is about one line of a log, and thousands need not wait for the disk.
        IF error_code = 'SEATS_UNAVAILABLE' AND NOT v_has_waited THEN
            IF v_look.async_conflict_log AND pg_current_xact_id_if_assigned() IS NULL THEN
                PERFORM set_config('synchronous_commit', 'off', true);
            END IF;
        END IF;
        error_message := "public".error_message(error_code);
        PERFORM "public".log_reservation_failure(
            'reserve_seats', error_code, error_message, p_show_id, NULL, p_session_id, p_seat_ids,
            p_user_agent, p_ip_address, v_detail
        );
    END IF;
    RETURN NEXT;
END;
$$;


--
-- Name: FUNCTION reserve_seats(p_show_id uuid, p_seat_ids uuid[], p_session_id text, p_user_id text, p_email text, p_user_agent text, p_ip_address inet); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.reserve_seats(p_show_id uuid, p_seat_ids uuid[], p_session_id text, p_user_id text, p_email text, p_user_agent text, p_ip_address inet) IS 'Holds seats of a show for a session, all or none, for ticketing_settings.hold_minutes. Repeated with the same session and seats while that hold lives, returns that hold again. Waits at most 2 s for locks of others, then SEATS_UNAVAILABLE. Error codes: INVALID_INPUT, SHOW_NOT_ON_SALE, TOO_MANY_SEATS, DUPLICATE_RESERVATION, SEATS_NOT_FOUND, SEATS_UNAVAILABLE, DOUBLE_BOOKING_PREVENTED, INTERNAL_ERROR. Amounts in the minor unit of the currency. Raises serialization_failure where a transaction at REPEATABLE READ or above has to be tried again, lock_not_available where even the log is locked, and, where the transaction is read-only or the caller has no right, the error of the server: nothing has been written then.';


--
-- Name: retake_seats(uuid, uuid, uuid[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.retake_seats(p_show_id uuid, p_reservation_id uuid, p_seat_ids uuid[]) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_over_ids uuid[];
    v_free bigint;
BEGIN
    -- Holds that are over do not stand in the way, and neither does our own.
    v_over_ids := ARRAY(
        SELECT seat.reserved_by
        FROM "public".show_seats AS seat
        WHERE
            seat.show_id = p_show_id
            AND seat.id = ANY(p_seat_ids)
            AND seat.reserved_until <= v_now
    );
    PERFORM "public".expire_holds(p_show_id, v_over_ids, p_seat_ids);

    SELECT count(*)
    INTO v_free
    FROM "public".show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(p_seat_ids)
        AND seat.status = 'available';
    IF v_free < cardinality(p_seat_ids) THEN
        RETURN false;
    END IF;

    UPDATE "public".reservation_seats
    SET released_at = NULL
    WHERE
        reservation_seats.reservation_id = p_reservation_id
        AND reservation_seats.show_id = p_show_id
        AND reservation_seats.show_seat_id = ANY(p_seat_ids);
    RETURN true;
END;
$$;


--
-- Name: FUNCTION retake_seats(p_show_id uuid, p_reservation_id uuid, p_seat_ids uuid[]); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.retake_seats(p_show_id uuid, p_reservation_id uuid, p_seat_ids uuid[]) IS 'Makes the claims of a locked reservation that is over live again if all seats are free; returns whether. The seats stay locked. Internal.';


--
-- Name: revoke_default_privileges(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.revoke_default_privileges() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    v_stray record;
BEGIN
    FOR v_stray IN
        WITH created AS (
            SELECT
                CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind,
                format('%I.%I', n.nspname, c.relname) AS identity,
                c.relowner AS owner,
                COALESCE(
                    c.relacl,
                    acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner)
                ) AS acl
            FROM pg_class AS c
            INNER JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE
                n.nspname IN ('public', 'monitoring')
                AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
                AND "public".is_own_work(c.xmin)
            UNION ALL
            SELECT
                'ROUTINE',
                format(
                    '%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)
                ),
                p.proowner,
                COALESCE(p.proacl, acldefault('f', p.proowner))
            FROM pg_proc AS p
            INNER JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE
                n.nspname IN ('public', 'monitoring')
                AND "public".is_own_work(p.xmin)
            UNION ALL
            SELECT
                'SCHEMA',
                quote_ident(n.nspname),
                n.nspowner,
                COALESCE(n.nspacl, acldefault('n', n.nspowner))
            FROM pg_namespace AS n
            WHERE
                n.nspname = 'monitoring'
                AND "public".is_own_work(n.xmin)
        )

        SELECT DISTINCT
            format(
                'REVOKE ALL ON %s %s FROM %s', c.kind, c.identity,
                COALESCE(quote_ident(r.rolname), 'PUBLIC')
            ) AS statement
        FROM created AS c
        CROSS JOIN LATERAL aclexplode(c.acl) AS privilege
        LEFT JOIN pg_roles AS r ON r.oid = privilege.grantee
        WHERE
            privilege.grantee <> c.owner
            AND r.rolname IS DISTINCT FROM 'ticketdb_app'
            AND r.rolname IS DISTINCT FROM 'ticketdb_monitor'
    LOOP
        EXECUTE v_stray.statement;
    END LOOP;
END;
$$;


--
-- Name: FUNCTION revoke_default_privileges(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.revoke_default_privileges() IS 'Takes away what default privileges gave to strangers on objects created by the current transaction. For migrations.';


--
-- Name: roll_up_metrics(integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.roll_up_metrics(p_max_events integer DEFAULT 500000) RETURNS TABLE(log text, events_folded bigint, is_behind boolean)
    LANGUAGE plpgsql ROWS 3
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    AS $_$
DECLARE
    v_mark "public".metric_watermarks;
    v_final xid8;
    v_below xid8;
    v_last_id bigint;
BEGIN
    IF p_max_events IS NULL OR p_max_events < 1 THEN
        RAISE EXCEPTION 'p_max_events must be at least 1, not %',
            COALESCE(p_max_events::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR log IN SELECT logs.name FROM "public".partitioned_logs() AS logs (name) LOOP
        SELECT mark.*
        INTO v_mark
        FROM "public".metric_watermarks AS mark
        WHERE mark.log = roll_up_metrics.log
        FOR UPDATE SKIP LOCKED;
        -- Somebody else is at it.
        CONTINUE WHEN NOT FOUND;

        IF "public".is_restored_log(log) THEN
            events_folded := "public".adopt_restored_log(log);
            is_behind := false;
            RETURN NEXT;
            CONTINUE;
        END IF;

        v_final := pg_snapshot_xmin(pg_current_snapshot());
        v_below := "public".nth_xact_id(
            log, v_mark.watermark, v_final, v_mark.restored_id, p_max_events
        );
        -- A transaction that is too much all by itself is taken whole.
        IF v_below = "public".nth_xact_id(
            log, v_mark.watermark, v_final, v_mark.restored_id, 0
        ) THEN
            v_below := "public".next_xact_id(v_below);
        END IF;
        v_below := COALESCE(v_below, v_final);
        is_behind := "public".nth_xact_id(
            log, v_below, v_final, v_mark.restored_id, 0
        ) IS NOT NULL;

        EXECUTE format(
            'SELECT count(*), max(event.id) FROM %I.%I AS event '
            'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3',
            'public', log
        )
        INTO
            events_folded,
            v_last_id
        USING v_mark.watermark, v_below, v_mark.restored_id;
        IF events_folded > 0 THEN
            PERFORM "public".fold_events(
                log, v_mark.watermark, v_below, v_mark.restored_id
            );
        END IF;
        UPDATE "public".metric_watermarks
        SET
            watermark = v_below,
            last_folded_id = GREATEST(metric_watermarks.last_folded_id, v_last_id),
            rolled_up_at = clock_timestamp(),
            advanced_at = CASE
                WHEN v_below > metric_watermarks.watermark THEN clock_timestamp()
                ELSE metric_watermarks.advanced_at
            END
        WHERE metric_watermarks.log = roll_up_metrics.log;
        RETURN NEXT;
    END LOOP;
END;
$_$;


--
-- Name: FUNCTION roll_up_metrics(p_max_events integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.roll_up_metrics(p_max_events integer) IS 'Adds new rows of the logs to the tables that the monitoring views read, at most about p_max_events of each log; returns how many of which, and whether there are more.';


--
-- Name: rollup_state(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.rollup_state() RETURNS TABLE(log text, is_restored boolean, age_seconds double precision, waiting_seconds double precision)
    LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 3
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $_$
DECLARE
    v_mark "public".metric_watermarks;
BEGIN
    FOR v_mark IN SELECT mark.* FROM "public".metric_watermarks AS mark LOOP
        log := v_mark.log;
        is_restored := "public".is_restored_log(log);
        age_seconds := GREATEST(
            extract(EPOCH FROM now() - v_mark.rolled_up_at)::double precision, 0
        );
        EXECUTE format(
            'SELECT extract(EPOCH FROM now() - $3)::double precision '
            'FROM %I.%I AS event WHERE event.xact_id >= $1 AND event.id > $2 '
            'ORDER BY event.xact_id LIMIT 1',
            'public', log
        )
        INTO waiting_seconds
        USING v_mark.watermark, v_mark.restored_id, v_mark.advanced_at;
        waiting_seconds := GREATEST(waiting_seconds, 0);
        RETURN NEXT;
    END LOOP;
END;
$_$;


--
-- Name: FUNCTION rollup_state(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.rollup_state() IS 'For each log: whether it came with a dump of another server and has not been rolled up since, seconds since the rollup last ran, and for how many seconds rows have waited for it to get on. For the views.';


--
-- Name: run_reservation_cleanup(text, integer, bigint, text, integer, integer, integer); Type: PROCEDURE; Schema: public; Owner: -
--

CREATE PROCEDURE public.run_reservation_cleanup(IN p_scheduler text DEFAULT 'external'::text, IN p_batch_size integer DEFAULT 12, INOUT run_id bigint DEFAULT NULL::bigint, INOUT status text DEFAULT NULL::text, INOUT reservations_expired integer DEFAULT NULL::integer, INOUT seats_released integer DEFAULT NULL::integer, INOUT orders_cancelled integer DEFAULT NULL::integer)
    LANGUAGE plpgsql
    AS $$
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
    INSERT INTO "public".reservation_cleanup_lock DEFAULT VALUES ON CONFLICT DO NOTHING;
    PERFORM FROM "public".reservation_cleanup_lock AS baton FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        status := 'skipped';
        INSERT INTO "public".reservation_cleanup_runs (
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

    UPDATE "public".reservation_cleanup_runs
    SET
        status = 'failed',
        finished_at = clock_timestamp(),
        error_message = 'The server process of the run has gone.'
    WHERE
        reservation_cleanup_runs.id IN (
            SELECT gone.id
            FROM "public".reservation_cleanup_runs AS gone
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

    INSERT INTO "public".reservation_cleanup_runs (scheduler)
    VALUES (p_scheduler)
    RETURNING reservation_cleanup_runs.id INTO run_id;

    LOOP
        COMMIT AND CHAIN;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        EXIT WHEN v_is_done;
        PERFORM FROM "public".reservation_cleanup_lock AS baton FOR UPDATE SKIP LOCKED;
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
                FROM "public".overdue_holds(
                    5000, p_batch_size, v_after_expires_at, v_after_id
                ) AS portion;
            END IF;
            IF v_show_ids = '{}' THEN
                -- Every hold that is over has had its turn.
                v_cancelled := "public".cancel_dead_orders(v_orders_at_once);
                v_is_done := v_cancelled < v_orders_at_once;
                SELECT
                    '{}'::uuid[] AS ended_ids,
                    0 AS seats_released,
                    NULL AS error_code,
                    NULL AS error_message
                INTO v_ended;
            ELSE
                v_portion := v_portion + 1;
                v_ended := "public".end_overdue_holds(
                    v_show_ids[v_portion], v_reservation_ids[v_portion]::uuid[]
                );
                -- What stops one hold does not stop those after it.
                v_error := COALESCE(v_error, v_ended.error_message);
                v_sqlstate := COALESCE(v_sqlstate, v_ended.error_code);
                v_is_done := v_ended.error_code IS NOT DISTINCT FROM '57014';
            END IF;

            -- How far it has come, for those who watch. Whoever has the row locked is not waited
            -- for: in the end it is written whole.
            UPDATE "public".reservation_cleanup_runs
            SET
                reservations_expired = reservation_cleanup_runs.reservations_expired
                    + cardinality(v_ended.ended_ids),
                seats_released = reservation_cleanup_runs.seats_released + v_ended.seats_released,
                orders_cancelled = reservation_cleanup_runs.orders_cancelled + v_cancelled
            WHERE
                reservation_cleanup_runs.id = (
                    SELECT mine.id
                    FROM "public".reservation_cleanup_runs AS mine
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
    UPDATE "public".reservation_cleanup_runs
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
$$;


--
-- Name: PROCEDURE run_reservation_cleanup(IN p_scheduler text, IN p_batch_size integer, INOUT run_id bigint, INOUT status text, INOUT reservations_expired integer, INOUT seats_released integer, INOUT orders_cancelled integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON PROCEDURE public.run_reservation_cleanup(IN p_scheduler text, IN p_batch_size integer, INOUT run_id bigint, INOUT status text, INOUT reservations_expired integer, INOUT seats_released integer, INOUT orders_cancelled integer) IS 'Ends all holds that are over, at most p_batch_size a transaction, and cancels orders of holds that expired; one run at a time. Goes on after a hold that cannot be ended, and fails in the end. Writes reservation_cleanup_runs; returns what this run did, or that it was skipped.';


--
-- Name: schedule_jobs(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.schedule_jobs() RETURNS TABLE(job_name text, schedule text, command text, action text)
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    v_unavailable text;
    v_probe bigint;
    v_nodename text;
    v_nodeport integer;
    v_job record;
    v_current record;
BEGIN
    -- Only who may read the setting, a superuser, could create the extension.
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        IF pg_has_role('pg_read_all_settings', 'USAGE')
            AND current_setting('cron.database_name', true) = current_database()
        THEN
            BEGIN
                CREATE EXTENSION pg_cron;
            EXCEPTION
                WHEN insufficient_privilege THEN
                    NULL;
            END;
        END IF;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        v_unavailable := 'unavailable: pg_cron is not installed in this database';
    ELSIF NOT "public".can_use_pg_cron() THEN
        v_unavailable := format(
            'unavailable: run GRANT USAGE ON SCHEMA cron TO %I first', current_user
        );
    ELSE
        -- A dump carries along which server the jobs of the original run on. What this one writes
        -- into a job is a setting that superusers read; others see it in a job of their own.
        EXECUTE 'SELECT cron.schedule($1, $2)'
        INTO v_probe
        USING '0 0 1 1 *'::text, 'SELECT 1'::text;
        EXECUTE 'SELECT job.nodename, job.nodeport FROM cron.job AS job WHERE job.jobid = $1'
        INTO
            v_nodename,
            v_nodeport
        USING v_probe;
        EXECUTE 'SELECT cron.unschedule($1)' USING v_probe;
    END IF;

    FOR v_job IN SELECT jobs.* FROM "public".scheduled_jobs() AS jobs LOOP
        job_name := v_job.job_name;
        schedule := v_job.schedule;
        command := v_job.command;
        action := v_unavailable;
        IF v_unavailable IS NULL THEN
            action := 'scheduled';
            -- Ours by what it runs, or by its name, which is unique among the jobs of a role. One of
            -- that name which runs the same in another schema belongs to another installation.
            FOR v_current IN EXECUTE
                $query$
                SELECT
                    job.jobid,
                    job.jobname::text AS name,
                    job.schedule,
                    job.command,
                    job.database = current_database() AS is_here,
                    -- Of the server that was dumped, of a database or a role that is no more.
                    (job.nodename, job.nodeport) <> ($3, $4)
                    OR known.datname IS NULL
                    OR NOT COALESCE(role.rolcanlogin, false) AS is_stale
                FROM cron.job AS job
                LEFT JOIN pg_database AS known ON known.datname = job.database
                LEFT JOIN pg_roles AS role ON role.rolname = job.username
                WHERE
                    (job.jobname = $1 AND job.username = current_user)
                    OR (
                        job.command = $2
                        AND (job.database = current_database() OR known.datname IS NULL)
                    )
                $query$
                USING v_job.job_name, v_job.command, v_nodename, v_nodeport
            LOOP
                IF NOT (v_current.is_here OR v_current.is_stale)
                    OR (
                        v_current.command <> v_job.command
                        AND (
                            strpos(v_current.command, v_job.routine || '(') = 0
                            OR (
                                strpos(v_current.command, '.' || v_job.routine || '(') > 0
                                AND strpos(
                                    ' ' || v_current.command,
                                    format(' %I.%I(', 'public', v_job.routine)
                                ) = 0
                            )
                        )
                    )
                THEN
                    RAISE EXCEPTION 'job "%" is already used for: %',
                        v_job.job_name, v_current.command
                    USING
                        ERRCODE = 'duplicate_object',
                        HINT = 'Choose another job name in ticketdb.toml.';
                ELSIF (v_current.name, v_current.schedule, v_current.command)
                    = (v_job.job_name, v_job.schedule, v_job.command)
                    AND NOT v_current.is_stale
                    AND action = 'scheduled'
                THEN
                    action := 'unchanged';
                ELSE
                    -- Renamed, older, stale, or a second one.
                    EXECUTE 'SELECT cron.unschedule($1::bigint)' USING v_current.jobid;
                END IF;
            END LOOP;
            IF action = 'scheduled' THEN
                EXECUTE 'SELECT cron.schedule($1, $2, $3)'
                USING v_job.job_name, v_job.schedule, v_job.command;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END;
$_$;


--
-- Name: FUNCTION schedule_jobs(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.schedule_jobs() IS 'Schedules the jobs of scheduled_jobs() with pg_cron where it is there. Returns each job and what was done: scheduled, unchanged, or unavailable and why.';


--
-- Name: scheduled_jobs(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.scheduled_jobs() RETURNS TABLE(job_name text, schedule text, command text, routine text)
    LANGUAGE sql IMMUTABLE ROWS 5
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET quote_all_identifiers TO 'off'
    AS $$
VALUES
(
    'cleanup-expired-reservations', '* * * * *',
    format('CALL %I.run_reservation_cleanup(%L)', 'public', 'pg_cron'),
    'run_reservation_cleanup'
),
(
    'roll-up-ticketing-metrics', '* * * * *',
    format('SELECT %I.roll_up_metrics()', 'public'), 'roll_up_metrics'
),
(
    'check-ticketing-invariants', '*/10 * * * *',
    format('SELECT %I.check_invariants()', 'public'), 'check_invariants'
),
(
    'maintain-ticketing-partitions', '17 * * * *',
    format('SELECT %I.maintain_partitions()', 'public'), 'maintain_partitions'
),
(
    'purge-ticketing-history', '47 * * * *',
    format('SELECT %I.purge_history()', 'public'), 'purge_history'
);
$$;


--
-- Name: FUNCTION scheduled_jobs(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.scheduled_jobs() IS 'The jobs that keep ticketdb tidy: name, cron schedule, command, and the routine that it calls.';


--
-- Name: sync_reserved_until(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.sync_reserved_until() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET commit_siblings TO '997'
    SET plan_cache_mode TO 'force_generic_plan'
    SET enable_seqscan TO 'off'
    AS $$
DECLARE
    v_seat_ids uuid[];
BEGIN
    SELECT array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL)
    INTO v_seat_ids
    FROM "public".reservation_seats AS claim
    WHERE
        claim.reservation_id = NEW.id
        AND claim.show_id = NEW.show_id;
    -- Everybody locks seats in id order.
    PERFORM
    FROM "public".show_seats AS seat
    WHERE
        seat.show_id = NEW.show_id
        AND seat.id = ANY(v_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    UPDATE "public".show_seats
    SET reserved_until = NEW.expires_at
    WHERE
        show_seats.show_id = NEW.show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.reserved_by = NEW.id;
    RETURN NULL;
END;
$$;


--
-- Name: FUNCTION sync_reserved_until(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.sync_reserved_until() IS 'Trigger: copies a moved seat_reservations.expires_at to the seats that the reservation holds.';


--
-- Name: system_identifier(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.system_identifier() RETURNS bigint
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
        RETURN (SELECT control.system_identifier FROM pg_control_system() AS control);
    END IF;
    RETURN NULL;
END;
$$;


--
-- Name: FUNCTION system_identifier(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.system_identifier() IS 'Number that initdb gave to this server, or NULL where it may not be read. Internal.';


--
-- Name: unschedule_jobs(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.unschedule_jobs() RETURNS SETOF text
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    v_job record;
BEGIN
    IF NOT "public".can_use_pg_cron() THEN
        RETURN;
    END IF;
    -- By what they run: a DBA may have renamed them.
    FOR v_job IN EXECUTE
        $query$
        SELECT
            job.jobid,
            job.jobname::text AS name
        FROM cron.job AS job
        WHERE
            job.command = ANY($1)
            AND job.database = current_database()
        $query$
        USING ARRAY(SELECT jobs.command FROM "public".scheduled_jobs() AS jobs)
    LOOP
        EXECUTE 'SELECT cron.unschedule($1::bigint)' USING v_job.jobid;
        RETURN NEXT v_job.name;
    END LOOP;
END;
$_$;


--
-- Name: FUNCTION unschedule_jobs(); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.unschedule_jobs() IS 'Takes the jobs of scheduled_jobs() out of pg_cron; returns their names. Nothing happens without pg_cron.';


--
-- Name: wait_for_others(timestamp with time zone, integer); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.wait_for_others(p_since timestamp with time zone, p_rows integer DEFAULT 10) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    -- In milliseconds. Two seconds are promised: some are for the last try, and its line in a log
    -- that may be locked, too.
    v_left constant integer := (
        1700 - 1000 * extract(EPOCH FROM clock_timestamp() - p_since)
    )::integer;
BEGIN
    -- A row may cost two waits: for the turn among those who wait for it, and for who has it. No
    -- limit at all is what 0 would mean.
    PERFORM set_config(
        'lock_timeout',
        CASE
            WHEN v_left > 0 THEN GREATEST(1, v_left / (2 * GREATEST(p_rows, 10)))
            ELSE 250
        END::text,
        true
    );
    RETURN v_left > 0;
END;
$$;


--
-- Name: FUNCTION wait_for_others(p_since timestamp with time zone, p_rows integer); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.wait_for_others(p_since timestamp with time zone, p_rows integer) IS 'Limits each further wait for a lock so that waiting for p_rows rows ends within two seconds of p_since, when the call began; the caller''s own SET lock_timeout takes that back. Returns whether it is worth trying once more. Internal.';


--
-- Name: window_start(interval); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.window_start(p_length interval) RETURNS timestamp with time zone
    LANGUAGE sql STABLE
    RETURN date_bin('00:01:00'::interval, (now() - p_length), '2000-01-01 00:00:00+00'::timestamp with time zone);


--
-- Name: FUNCTION window_start(p_length interval); Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON FUNCTION public.window_start(p_length interval) IS 'Beginning of the window of this length up to now, in a view of the metrics.';


--
-- Name: active_reservations; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.active_reservations AS
 SELECT totals.active_reservations,
    totals.expiring_soon,
    totals.total_seats_held
   FROM public.active_reservation_totals() totals(active_reservations, expiring_soon, total_seats_held);


--
-- Name: VIEW active_reservations; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.active_reservations IS 'Holds on seats right now: one row.';


--
-- Name: COLUMN active_reservations.active_reservations; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.active_reservations.active_reservations IS 'Holds that are not over.';


--
-- Name: COLUMN active_reservations.expiring_soon; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.active_reservations.expiring_soon IS 'Those that will be over within 2 minutes.';


--
-- Name: COLUMN active_reservations.total_seats_held; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.active_reservations.total_seats_held IS 'Seats that they hold.';


--
-- Name: alert_rules; Type: TABLE; Schema: monitoring; Owner: -
--

CREATE TABLE monitoring.alert_rules (
    alert_name text NOT NULL,
    severity text NOT NULL,
    comparison text DEFAULT '>'::text NOT NULL,
    threshold double precision NOT NULL,
    unit text DEFAULT ''::text NOT NULL,
    time_window_seconds bigint DEFAULT 0 NOT NULL,
    minimum_events bigint DEFAULT 1 NOT NULL,
    enabled boolean DEFAULT true NOT NULL,
    summary text NOT NULL,
    action text NOT NULL,
    runbook text NOT NULL,
    CONSTRAINT alert_rules_comparison_check CHECK ((comparison = ANY (ARRAY['>'::text, '<'::text]))),
    CONSTRAINT alert_rules_minimum_events_check CHECK ((minimum_events >= 0)),
    CONSTRAINT alert_rules_severity_check CHECK ((severity = ANY (ARRAY['critical'::text, 'warning'::text, 'info'::text]))),
    CONSTRAINT alert_rules_threshold_check CHECK (((threshold > '-Infinity'::double precision) AND (threshold < 'Infinity'::double precision))),
    CONSTRAINT alert_rules_time_window_seconds_check CHECK (((time_window_seconds >= 0) AND (time_window_seconds <= 604800))),
    CONSTRAINT alert_rules_unit_check CHECK ((unit = ANY (ARRAY[''::text, 's'::text, '%'::text])))
);


--
-- Name: TABLE alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON TABLE monitoring.alert_rules IS 'Thresholds of the alerts. UPDATE them: the view alerts goes by them at once.';


--
-- Name: COLUMN alert_rules.alert_name; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.alert_name IS 'Name of the alert, and what it is about.';


--
-- Name: COLUMN alert_rules.severity; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.severity IS 'critical: respond immediately; warning: within the hour; info: daily review.';


--
-- Name: COLUMN alert_rules.comparison; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.comparison IS 'Whether it fires above the threshold (>) or below it (<).';


--
-- Name: COLUMN alert_rules.threshold; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.threshold IS 'The bound, in the unit given. A value that is exactly there does not fire.';


--
-- Name: COLUMN alert_rules.unit; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.unit IS 'Of the value and the threshold: s (seconds), % (percent), or nothing for a number.';


--
-- Name: COLUMN alert_rules.time_window_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.time_window_seconds IS 'How far back it looks, in seconds, rounded up to whole minutes; 0 for what is so right now.';


--
-- Name: COLUMN alert_rules.minimum_events; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.minimum_events IS 'For a rate or an average: of how many events there must be one, for it to mean anything.';


--
-- Name: COLUMN alert_rules.enabled; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.enabled IS 'Whether it may fire.';


--
-- Name: COLUMN alert_rules.summary; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.summary IS 'What it means that it fires.';


--
-- Name: COLUMN alert_rules.action; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.action IS 'What to do first.';


--
-- Name: COLUMN alert_rules.runbook; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alert_rules.runbook IS 'Page that says more, as a path in the repository of ticketdb; put your own address here.';


--
-- Name: CONSTRAINT alert_rules_comparison_check ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON CONSTRAINT alert_rules_comparison_check ON monitoring.alert_rules IS 'Above or below.';


--
-- Name: CONSTRAINT alert_rules_minimum_events_check ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON CONSTRAINT alert_rules_minimum_events_check ON monitoring.alert_rules IS 'Not negative.';


--
-- Name: CONSTRAINT alert_rules_severity_check ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON CONSTRAINT alert_rules_severity_check ON monitoring.alert_rules IS 'The severities there are.';


--
-- Name: CONSTRAINT alert_rules_threshold_check ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON CONSTRAINT alert_rules_threshold_check ON monitoring.alert_rules IS 'A finite number.';


--
-- Name: CONSTRAINT alert_rules_time_window_seconds_check ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON CONSTRAINT alert_rules_time_window_seconds_check ON monitoring.alert_rules IS 'At most a week.';


--
-- Name: CONSTRAINT alert_rules_unit_check ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON CONSTRAINT alert_rules_unit_check ON monitoring.alert_rules IS 'The units there are.';


--
-- Name: cleanup_job_health; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.cleanup_job_health AS
 SELECT job.scheduler,
    job.last_run_age_seconds,
    job.last_run_duration_seconds,
    ((job.last_run_failed)::integer)::smallint AS last_run_failed,
    job.failed_runs_24h,
    job.runs_24h,
    holds.overdue_holds,
    holds.oldest_overdue_seconds,
    ((job.is_scheduled)::integer)::smallint AS is_scheduled,
    ((job.scheduler_alive)::integer)::smallint AS scheduler_alive,
    ((job.has_run)::integer)::smallint AS has_run,
    job.skipped_runs_24h,
    job.longest_run_seconds
   FROM (public.cleanup_job_state() job(scheduler, last_run_age_seconds, last_run_duration_seconds, last_run_failed, failed_runs_24h, runs_24h, is_scheduled, scheduler_alive, has_run, skipped_runs_24h, longest_run_seconds)
     CROSS JOIN public.overdue_hold_totals() holds(overdue_holds, oldest_overdue_seconds));


--
-- Name: VIEW cleanup_job_health; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.cleanup_job_health IS 'How the cleanup of holds that are over is doing: one row.';


--
-- Name: COLUMN cleanup_job_health.scheduler; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.scheduler IS 'Who runs it: pg_cron where it is scheduled there, otherwise who ran it last; none if nobody did.';


--
-- Name: COLUMN cleanup_job_health.last_run_age_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.last_run_age_seconds IS 'Seconds since the last run that has ended began; NULL if there was none.';


--
-- Name: COLUMN cleanup_job_health.last_run_duration_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.last_run_duration_seconds IS 'How long the last run took, in seconds; NULL if there was none, or pg_cron could not begin it.';


--
-- Name: COLUMN cleanup_job_health.last_run_failed; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.last_run_failed IS '1 if the last run failed, or pg_cron could not begin it.';


--
-- Name: COLUMN cleanup_job_health.failed_runs_24h; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.failed_runs_24h IS 'Failed runs of the last 24 hours, those that pg_cron could not begin included.';


--
-- Name: COLUMN cleanup_job_health.runs_24h; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.runs_24h IS 'Runs that ended in the last 24 hours; skipped ones are not runs.';


--
-- Name: COLUMN cleanup_job_health.overdue_holds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.overdue_holds IS 'Holds that are over and not cleaned up.';


--
-- Name: COLUMN cleanup_job_health.oldest_overdue_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.oldest_overdue_seconds IS 'For how many seconds the oldest of them has been over; 0 without any.';


--
-- Name: COLUMN cleanup_job_health.is_scheduled; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.is_scheduled IS '1 if pg_cron has the job, and it is switched on.';


--
-- Name: COLUMN cleanup_job_health.scheduler_alive; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.scheduler_alive IS '1 if the scheduler is there: the process of pg_cron, or a run by another within the threshold of cleanup_job_silent.';


--
-- Name: COLUMN cleanup_job_health.has_run; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.has_run IS '1 if the cleanup ever ran; 0 where last_run_age_seconds is NULL.';


--
-- Name: COLUMN cleanup_job_health.skipped_runs_24h; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.skipped_runs_24h IS 'Runs of the last 24 hours that were skipped, since another run was at work.';


--
-- Name: COLUMN cleanup_job_health.longest_run_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.cleanup_job_health.longest_run_seconds IS 'How long the longest run took, in seconds, of those that ended in the last 24 hours or are at work; 0 without any.';


--
-- Name: lock_waits; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.lock_waits AS
 WITH transactions AS (
         SELECT count(*) AS open_transactions,
            COALESCE(max(transaction.age_seconds), (0)::double precision) AS oldest_transaction_seconds,
            count(transaction.idle_seconds) AS idle_in_transaction,
            COALESCE(max(transaction.idle_seconds), (0)::double precision) AS longest_idle_seconds,
            count(*) FILTER (WHERE (transaction.state = 'prepared'::text)) AS prepared_transactions,
            COALESCE(max(transaction.age_seconds) FILTER (WHERE (transaction.state = 'prepared'::text)), (0)::double precision) AS oldest_prepared_seconds
           FROM public.open_transactions() transaction(role_name, state, is_here, xid_age, age_seconds, idle_seconds)
          WHERE transaction.is_here
        )
 SELECT locks.waiting_sessions,
    locks.longest_wait_seconds,
    transactions.open_transactions,
    transactions.oldest_transaction_seconds,
    transactions.idle_in_transaction,
    transactions.longest_idle_seconds,
    transactions.prepared_transactions,
    transactions.oldest_prepared_seconds
   FROM (public.lock_wait_totals() locks(waiting_sessions, longest_wait_seconds)
     CROSS JOIN transactions);


--
-- Name: VIEW lock_waits; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.lock_waits IS 'Sessions of this database that wait for a lock, and transactions that are open: one row.';


--
-- Name: COLUMN lock_waits.waiting_sessions; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.waiting_sessions IS 'Sessions that wait for a lock.';


--
-- Name: COLUMN lock_waits.longest_wait_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.longest_wait_seconds IS 'For how many seconds the longest of them has waited; 0 without any.';


--
-- Name: COLUMN lock_waits.open_transactions; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.open_transactions IS 'Transactions that are open, prepared ones included, ours and those of autovacuum left out. Of other roles only where the owner of ticketdb has pg_read_all_stats.';


--
-- Name: COLUMN lock_waits.oldest_transaction_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.oldest_transaction_seconds IS 'For how many seconds the oldest of them has been open; 0 without any.';


--
-- Name: COLUMN lock_waits.idle_in_transaction; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.idle_in_transaction IS 'Those of them whose session does nothing.';


--
-- Name: COLUMN lock_waits.longest_idle_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.longest_idle_seconds IS 'For how many seconds the longest of those has done nothing; 0 without any.';


--
-- Name: COLUMN lock_waits.prepared_transactions; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.prepared_transactions IS 'Those that are prepared and wait for COMMIT PREPARED, with no session that would end them.';


--
-- Name: COLUMN lock_waits.oldest_prepared_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.lock_waits.oldest_prepared_seconds IS 'For how many seconds the oldest of those has been prepared; 0 without any.';


--
-- Name: currencies; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.currencies (
    code text NOT NULL,
    decimals smallint NOT NULL,
    CONSTRAINT currencies_code_check CHECK ((code ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT currencies_decimals_check CHECK ((decimals = ANY (ARRAY[0, 2, 3])))
);


--
-- Name: TABLE currencies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.currencies IS 'Currencies that a show can be sold in (ISO 4217), and how to read amounts of them.';


--
-- Name: COLUMN currencies.code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.currencies.code IS 'ISO 4217 code.';


--
-- Name: COLUMN currencies.decimals; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.currencies.decimals IS 'Decimals of the currency: an amount is divided by ten to the power of this to show it to people. 0: JPY; 2: EUR; 3: KWD.';


--
-- Name: CONSTRAINT currencies_code_check ON currencies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT currencies_code_check ON public.currencies IS 'Three capital letters.';


--
-- Name: CONSTRAINT currencies_decimals_check ON currencies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT currencies_decimals_check ON public.currencies IS 'As many decimals as currencies have that providers charge in.';


--
-- Name: refunds_due; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.refunds_due AS
 SELECT COALESCE(due.reason, 'none'::text) AS reason,
    COALESCE(due.currency, 'none'::text) AS currency,
    COALESCE(due.refunds, (0)::bigint) AS refunds,
    COALESCE(((due.amount_in_cents)::double precision / power((10)::double precision, (COALESCE((currency.decimals)::integer, 2))::double precision)), (0)::double precision) AS amount,
    COALESCE(due.oldest_age_seconds, (0)::double precision) AS oldest_age_seconds
   FROM ((( VALUES (1)) always(is_there)
     LEFT JOIN public.due_refunds() due(reason, currency, refunds, amount_in_cents, oldest_age_seconds) ON (true))
     LEFT JOIN public.currencies currency ON ((currency.code = due.currency)));


--
-- Name: VIEW refunds_due; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.refunds_due IS 'Money that is to be given back, by reason and currency.';


--
-- Name: COLUMN refunds_due.reason; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.refunds_due.reason IS 'Why, as in refunds; none when nothing is due.';


--
-- Name: COLUMN refunds_due.currency; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.refunds_due.currency IS 'ISO 4217 code; none when nothing is due.';


--
-- Name: COLUMN refunds_due.refunds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.refunds_due.refunds IS 'How many refunds are due.';


--
-- Name: COLUMN refunds_due.amount; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.refunds_due.amount IS 'How much together, in the major unit: euros of EUR, yen of JPY.';


--
-- Name: COLUMN refunds_due.oldest_age_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.refunds_due.oldest_age_seconds IS 'For how many seconds the oldest has been due.';


--
-- Name: alerts; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.alerts AS
 WITH rules AS MATERIALIZED (
         SELECT rule.alert_name,
            rule.severity,
            rule.comparison,
            rule.threshold,
            rule.unit,
            rule.time_window_seconds,
            rule.minimum_events,
            rule.enabled,
            rule.summary,
            rule.action,
            rule.runbook,
            public.window_start(make_interval(secs => (rule.time_window_seconds)::double precision)) AS since
           FROM monitoring.alert_rules rule
        ), minutes AS (
         SELECT metric.minute,
            metric.created,
            metric.completed,
            metric.expired,
            metric.released,
            metric.extended,
            metric.failed,
            metric.failed_attempts,
            metric.race_conditions,
            metric.constraint_violations,
            metric.holds_ended,
            metric.hold_microseconds,
            metric.releases_ended,
            metric.release_microseconds
           FROM (( SELECT min(rules.since) AS since
                   FROM rules) longest
             CROSS JOIN LATERAL public.reservation_metrics(longest.since) metric(minute, created, completed, expired, released, extended, failed, failed_attempts, race_conditions, constraint_violations, holds_ended, hold_microseconds, releases_ended, release_microseconds))
        ), order_minutes AS (
         SELECT metric.minute,
            metric.currency,
            metric.orders,
            metric.failed_orders,
            metric.paid_orders,
            metric.revenue_in_cents,
            metric.tickets,
            metric.payments
           FROM (( SELECT min(rules.since) AS since
                   FROM rules) longest
             CROSS JOIN LATERAL public.order_metrics(longest.since) metric(minute, currency, orders, failed_orders, paid_orders, revenue_in_cents, tickets, payments))
        ), holds AS (
         SELECT rules.alert_name,
            COALESCE(sum(metric.created), (0)::numeric) AS created,
            COALESCE(sum(metric.expired), (0)::numeric) AS expired,
            COALESCE(sum(metric.extended), (0)::numeric) AS extended,
            COALESCE(sum(((metric.created + metric.failed_attempts) - metric.race_conditions)), (0)::numeric) AS attempts,
            COALESCE(sum(metric.constraint_violations), (0)::numeric) AS constraint_violations,
            COALESCE(sum(metric.holds_ended), (0)::numeric) AS ended,
            (COALESCE(sum(metric.hold_microseconds), (0)::numeric) / '1000000'::numeric) AS seconds
           FROM (rules
             LEFT JOIN minutes metric ON ((metric.minute >= rules.since)))
          GROUP BY rules.alert_name
        ), orders AS (
         SELECT rules.alert_name,
            COALESCE(sum(metric.orders), (0)::numeric) AS placed,
            COALESCE(sum(metric.failed_orders), (0)::numeric) AS failed
           FROM (rules
             LEFT JOIN order_minutes metric ON ((metric.minute >= rules.since)))
          GROUP BY rules.alert_name
        ), last_payment AS (
         SELECT COALESCE(max(metric.minute), '-infinity'::timestamp with time zone) AS minute
           FROM order_minutes metric
          WHERE (metric.payments > 0)
        ), unpaid AS (
         SELECT COALESCE(sum(metric.orders), (0)::numeric) AS orders,
            COALESCE(EXTRACT(epoch FROM (public.window_start('00:00:00'::interval) - min(metric.minute))), (0)::numeric) AS seconds
           FROM ((rules
             CROSS JOIN last_payment)
             JOIN order_minutes metric ON (((metric.minute >= rules.since) AND (metric.orders > 0))))
          WHERE ((rules.alert_name = 'no_payments'::text) AND (metric.minute > last_payment.minute))
        ), runs AS (
         SELECT rules.alert_name,
            total.failed_runs,
            total.longest_run_seconds
           FROM (rules
             CROSS JOIN LATERAL public.cleanup_run_totals(rules.since) total(runs, failed_runs, skipped_runs, longest_run_seconds, last_start_time))
          WHERE (rules.alert_name = ANY (ARRAY['cleanup_runs_failed'::text, 'cleanup_job_slow'::text]))
        ), rollup AS (
         SELECT max(GREATEST(mark.age_seconds, mark.waiting_seconds)) AS late_seconds,
            bool_or(mark.is_restored) AS is_restored
           FROM public.rollup_state() mark(log, is_restored, age_seconds, waiting_seconds)
        ), refunds AS (
         SELECT max(due.oldest_age_seconds) AS oldest_age_seconds
           FROM monitoring.refunds_due due
        ), maintenance AS (
         SELECT max(backlog.behind_seconds) AS behind_seconds
           FROM public.maintenance_backlog() backlog(task, behind_seconds)
        ), measured AS (
         SELECT rules.alert_name,
            rules.severity,
            rules.comparison,
            rules.threshold,
            rules.unit,
            rules.time_window_seconds,
            rules.minimum_events,
            rules.enabled,
            rules.summary,
            rules.action,
            rules.runbook,
            rules.since,
                CASE
                    WHEN (rules.alert_name ~~ 'high_expiration_rate%'::text) THEN holds.created
                    WHEN (rules.alert_name = 'extension_rate'::text) THEN holds.created
                    WHEN (rules.alert_name = 'low_success_rate'::text) THEN holds.attempts
                    WHEN (rules.alert_name = 'long_hold_time'::text) THEN holds.ended
                    WHEN (rules.alert_name ~~ 'payment_%'::text) THEN orders.placed
                    WHEN (rules.alert_name = 'no_payments'::text) THEN unpaid.orders
                    ELSE NULL::numeric
                END AS events,
                CASE
                    WHEN (rules.alert_name ~~ 'high_expiration_rate%'::text) THEN (((100.0 * holds.expired) / NULLIF(holds.created, (0)::numeric)))::double precision
                    WHEN (rules.alert_name = 'extension_rate'::text) THEN (((100.0 * holds.extended) / NULLIF(holds.created, (0)::numeric)))::double precision
                    WHEN (rules.alert_name = 'low_success_rate'::text) THEN (((100.0 * holds.created) / NULLIF(holds.attempts, (0)::numeric)))::double precision
                    WHEN (rules.alert_name = 'long_hold_time'::text) THEN ((holds.seconds / NULLIF(holds.ended, (0)::numeric)))::double precision
                    WHEN (rules.alert_name ~~ 'payment_%'::text) THEN (((100.0 * orders.failed) / NULLIF(orders.placed, (0)::numeric)))::double precision
                    WHEN (rules.alert_name = ANY (ARRAY['constraint_violation'::text, 'double_booking_attempts'::text])) THEN (holds.constraint_violations)::double precision
                    WHEN (rules.alert_name = ANY (ARRAY['cleanup_job_failed'::text, 'cleanup_job_silent'::text])) THEN job.last_run_age_seconds
                    WHEN (rules.alert_name = 'cleanup_runs_failed'::text) THEN (runs.failed_runs)::double precision
                    WHEN (rules.alert_name = 'cleanup_job_slow'::text) THEN runs.longest_run_seconds
                    WHEN (rules.alert_name = 'overdue_holds'::text) THEN job.oldest_overdue_seconds
                    WHEN (rules.alert_name = 'many_active_reservations'::text) THEN (live.active_reservations)::double precision
                    WHEN (rules.alert_name = 'no_payments'::text) THEN (GREATEST(unpaid.seconds, (0)::numeric))::double precision
                    WHEN (rules.alert_name = 'refunds_overdue'::text) THEN refunds.oldest_age_seconds
                    WHEN (rules.alert_name = 'lock_waits'::text) THEN locks.longest_wait_seconds
                    WHEN (rules.alert_name = 'long_transaction'::text) THEN locks.oldest_transaction_seconds
                    WHEN (rules.alert_name = 'rollup_late'::text) THEN rollup.late_seconds
                    WHEN (rules.alert_name = 'maintenance_behind'::text) THEN maintenance.behind_seconds
                    ELSE NULL::double precision
                END AS value,
                CASE
                    WHEN ((rules.alert_name = 'cleanup_job_failed'::text) AND (job.last_run_failed = 1)) THEN true
                    WHEN (rules.alert_name = ANY (ARRAY['cleanup_job_failed'::text, 'cleanup_job_silent'::text])) THEN (job.has_run = 0)
                    WHEN (rules.alert_name = 'rollup_late'::text) THEN rollup.is_restored
                    ELSE false
                END AS fires_anyway
           FROM ((((((((((rules
             JOIN holds ON ((holds.alert_name = rules.alert_name)))
             JOIN orders ON ((orders.alert_name = rules.alert_name)))
             LEFT JOIN runs ON ((runs.alert_name = rules.alert_name)))
             CROSS JOIN monitoring.cleanup_job_health job)
             CROSS JOIN monitoring.active_reservations live)
             CROSS JOIN monitoring.lock_waits locks)
             CROSS JOIN unpaid)
             CROSS JOIN refunds)
             CROSS JOIN rollup)
             CROSS JOIN maintenance)
        )
 SELECT measured.alert_name,
    measured.severity,
    (
        CASE
            WHEN (NOT measured.enabled) THEN 0
            WHEN measured.fires_anyway THEN 1
            WHEN (measured.events < (measured.minimum_events)::numeric) THEN 0
            WHEN ((measured.comparison = '>'::text) AND (measured.value > measured.threshold)) THEN 1
            WHEN ((measured.comparison = '<'::text) AND (measured.value < measured.threshold)) THEN 1
            ELSE 0
        END)::smallint AS firing,
    measured.value,
    measured.threshold,
    measured.time_window_seconds,
    measured.summary,
    measured.action,
    measured.runbook,
    measured.unit
   FROM measured;


--
-- Name: VIEW alerts; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.alerts IS 'The alerts: one row per rule, whether it fires or not.';


--
-- Name: COLUMN alerts.alert_name; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.alert_name IS 'Name of the rule in alert_rules.';


--
-- Name: COLUMN alerts.severity; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.severity IS 'critical, warning or info.';


--
-- Name: COLUMN alerts.firing; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.firing IS '1 while it fires.';


--
-- Name: COLUMN alerts.value; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.value IS 'What it is about, in the unit given; NULL where there is nothing to divide by, and for the age of what never happened.';


--
-- Name: COLUMN alerts.threshold; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.threshold IS 'The bound in alert_rules.';


--
-- Name: COLUMN alerts.time_window_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.time_window_seconds IS 'How far back it looks, in seconds; 0 for what is so right now.';


--
-- Name: COLUMN alerts.summary; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.summary IS 'What it means that it fires.';


--
-- Name: COLUMN alerts.action; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.action IS 'What to do first.';


--
-- Name: COLUMN alerts.runbook; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.runbook IS 'Page that says more.';


--
-- Name: COLUMN alerts.unit; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.alerts.unit IS 'Of value and threshold: s, %, or nothing for a number.';


--
-- Name: api_endpoint_health; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.api_endpoint_health AS
 WITH metrics AS MATERIALIZED (
         SELECT metric.endpoint,
            metric.requests,
            metric.errors,
            metric.duration_microseconds
           FROM public.api_metrics(public.window_start('01:00:00'::interval)) metric(endpoint, requests, errors, duration_microseconds)
        ), labels AS MATERIALIZED (
         SELECT placed.endpoint,
                CASE
                    WHEN (placed.place <= public.endpoint_limit()) THEN placed.endpoint
                    ELSE 'other'::text
                END AS label
           FROM ( SELECT metrics.endpoint,
                    row_number() OVER (ORDER BY (metrics.endpoint = 'other'::text), metrics.requests DESC, (metrics.endpoint COLLATE "C")) AS place
                   FROM metrics) placed
        ), ranked AS (
         SELECT bucket.endpoint,
            (((2)::double precision / ((1)::double precision + growth.factor)) * power(growth.factor, (bucket.duration_bucket)::double precision)) AS milliseconds,
            sum(bucket.requests) OVER by_duration AS requests_up_to,
            sum(bucket.requests) OVER (PARTITION BY bucket.endpoint) AS requests_in_all
           FROM (( SELECT labels.label AS endpoint,
                    metric.duration_bucket,
                    sum(metric.requests) AS requests
                   FROM (public.api_durations(public.window_start('01:00:00'::interval)) metric(endpoint, duration_bucket, requests)
                     JOIN labels ON ((labels.endpoint = metric.endpoint)))
                  GROUP BY labels.label, metric.duration_bucket) bucket
             CROSS JOIN public.duration_bucket_growth() growth(factor))
          WINDOW by_duration AS (PARTITION BY bucket.endpoint ORDER BY bucket.duration_bucket)
        ), percentiles AS (
         SELECT ranked.endpoint,
            min(ranked.milliseconds) FILTER (WHERE (ranked.requests_up_to >= (0.50 * ranked.requests_in_all))) AS p50,
            min(ranked.milliseconds) FILTER (WHERE (ranked.requests_up_to >= (0.95 * ranked.requests_in_all))) AS p95,
            min(ranked.milliseconds) FILTER (WHERE (ranked.requests_up_to >= (0.99 * ranked.requests_in_all))) AS p99
           FROM ranked
          GROUP BY ranked.endpoint
        ), endpoints AS (
         SELECT labels.label AS endpoint,
            (sum(metrics.requests))::bigint AS requests,
            (sum(metrics.errors))::bigint AS errors,
            ((sum(metrics.duration_microseconds))::double precision / (1000)::double precision) AS milliseconds
           FROM (metrics
             JOIN labels ON ((labels.endpoint = metrics.endpoint)))
          GROUP BY labels.label
        ), listed AS (
         SELECT endpoints.endpoint,
            endpoints.requests,
            endpoints.errors,
            endpoints.milliseconds
           FROM endpoints
        UNION ALL
         SELECT '(none)'::text AS endpoint,
            0 AS requests,
            0 AS errors,
            NULL::double precision AS milliseconds
          WHERE (NOT (EXISTS ( SELECT
                   FROM endpoints)))
        )
 SELECT listed.endpoint,
    listed.requests,
    listed.errors,
    (((100.0)::double precision * (listed.errors)::double precision) / (NULLIF(listed.requests, 0))::double precision) AS error_rate_pct,
    (listed.milliseconds / (NULLIF(listed.requests, 0))::double precision) AS avg_milliseconds,
    percentiles.p50 AS p50_milliseconds,
    percentiles.p95 AS p95_milliseconds,
    percentiles.p99 AS p99_milliseconds
   FROM (listed
     LEFT JOIN percentiles ON ((percentiles.endpoint = listed.endpoint)));


--
-- Name: VIEW api_endpoint_health; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.api_endpoint_health IS 'How the endpoints of the shop answered in the last hour: the busiest, and the rest together.';


--
-- Name: COLUMN api_endpoint_health.endpoint; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.endpoint IS 'Route, as given to log_api_request(); other for those beyond the endpoint_limit() busiest; (none) when there was no request.';


--
-- Name: COLUMN api_endpoint_health.requests; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.requests IS 'Requests.';


--
-- Name: COLUMN api_endpoint_health.errors; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.errors IS 'Those answered with a status of 500 or above.';


--
-- Name: COLUMN api_endpoint_health.error_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.error_rate_pct IS 'The same in percent; NULL without requests.';


--
-- Name: COLUMN api_endpoint_health.avg_milliseconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.avg_milliseconds IS 'Average duration in milliseconds; NULL without requests.';


--
-- Name: COLUMN api_endpoint_health.p50_milliseconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.p50_milliseconds IS 'Half of the requests took no longer, in milliseconds.';


--
-- Name: COLUMN api_endpoint_health.p95_milliseconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.p95_milliseconds IS '95 of 100 requests took no longer, in milliseconds.';


--
-- Name: COLUMN api_endpoint_health.p99_milliseconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.api_endpoint_health.p99_milliseconds IS '99 of 100 requests took no longer, in milliseconds.';


--
-- Name: connection_pool; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.connection_pool AS
 WITH server AS (
         SELECT (current_setting('max_connections'::text))::bigint AS max_connections
        )
 SELECT pool.state,
    pool.connections,
    server.max_connections,
    (((100.0)::double precision * (pool.connections)::double precision) / (server.max_connections)::double precision) AS used_pct
   FROM (public.connections_by_state() pool(state, connections)
     CROSS JOIN server);


--
-- Name: VIEW connection_pool; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.connection_pool IS 'Connections to the server by state.';


--
-- Name: COLUMN connection_pool.state; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.connection_pool.state IS 'active, idle, idle in transaction, idle in transaction (aborted), other, or not visible: the owner of ticketdb needs pg_read_all_stats for those.';


--
-- Name: COLUMN connection_pool.connections; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.connection_pool.connections IS 'Connections of clients in this state.';


--
-- Name: COLUMN connection_pool.max_connections; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.connection_pool.max_connections IS 'How many connections the server accepts.';


--
-- Name: COLUMN connection_pool.used_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.connection_pool.used_pct IS 'The connections in percent of that.';


--
-- Name: double_booking_attempts; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.double_booking_attempts AS
 SELECT windows.time_window,
    (COALESCE(sum(metric.constraint_violations), (0)::numeric))::bigint AS attempts
   FROM (( SELECT named.time_window,
            public.window_start(named.length) AS since
           FROM ( VALUES ('5m'::text,'00:05:00'::interval), ('24h'::text,'24:00:00'::interval)) named(time_window, length)) windows
     LEFT JOIN public.reservation_metrics(public.window_start('24:00:00'::interval)) metric(minute, created, completed, expired, released, extended, failed, failed_attempts, race_conditions, constraint_violations, holds_ended, hold_microseconds, releases_ended, release_microseconds) ON ((metric.minute >= windows.since)))
  GROUP BY windows.time_window;


--
-- Name: VIEW double_booking_attempts; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.double_booking_attempts IS 'How often a constraint of the database prevented a double booking.';


--
-- Name: COLUMN double_booking_attempts.time_window; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.double_booking_attempts.time_window IS 'How far back: 5m, 15m, 1h or 24h.';


--
-- Name: COLUMN double_booking_attempts.attempts; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.double_booking_attempts.attempts IS 'Calls that a constraint stopped; should be 0.';


--
-- Name: ticketing_settings; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ticketing_settings (
    singleton boolean DEFAULT true NOT NULL,
    hold_minutes integer DEFAULT 10 NOT NULL,
    extension_minutes integer DEFAULT 5 NOT NULL,
    max_extensions integer DEFAULT 3 NOT NULL,
    max_hold_minutes integer DEFAULT 60 NOT NULL,
    order_minutes integer DEFAULT 5 NOT NULL,
    max_seats_per_reservation integer DEFAULT 10 NOT NULL,
    audit_retention_days integer DEFAULT 90 NOT NULL,
    run_history_days integer DEFAULT 14 NOT NULL,
    personal_data_retention_days integer DEFAULT 400 NOT NULL,
    business_time_zone text DEFAULT 'UTC'::text NOT NULL,
    async_conflict_log boolean DEFAULT false NOT NULL,
    CONSTRAINT ticketing_settings_audit_retention_days_check CHECK (((audit_retention_days >= 8) AND (audit_retention_days <= 36500))),
    CONSTRAINT ticketing_settings_business_time_zone_check CHECK (public.is_time_zone(business_time_zone)),
    CONSTRAINT ticketing_settings_extension_minutes_check CHECK (((extension_minutes >= 1) AND (extension_minutes <= 1440))),
    CONSTRAINT ticketing_settings_hold_minutes_check CHECK (((hold_minutes >= 1) AND (hold_minutes <= 1440))),
    CONSTRAINT ticketing_settings_max_extensions_check CHECK (((max_extensions >= 0) AND (max_extensions <= 100))),
    CONSTRAINT ticketing_settings_max_hold_minutes_check CHECK (((max_hold_minutes >= hold_minutes) AND (max_hold_minutes <= 10080))),
    CONSTRAINT ticketing_settings_max_seats_per_reservation_check CHECK (((max_seats_per_reservation >= 1) AND (max_seats_per_reservation <= 1000))),
    CONSTRAINT ticketing_settings_order_minutes_check CHECK (((order_minutes >= 1) AND (order_minutes <= 1440))),
    CONSTRAINT ticketing_settings_personal_data_retention_days_check CHECK (((personal_data_retention_days >= 1) AND (personal_data_retention_days <= 36500))),
    CONSTRAINT ticketing_settings_run_history_days_check CHECK (((run_history_days >= 2) AND (run_history_days <= 3650))),
    CONSTRAINT ticketing_settings_singleton_check CHECK (singleton)
);


--
-- Name: TABLE ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ticketing_settings IS 'The policy of the shop, in one row. UPDATE it: the next call goes by it. It cannot be deleted.';


--
-- Name: COLUMN ticketing_settings.singleton; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.singleton IS 'Always true: there is one row.';


--
-- Name: COLUMN ticketing_settings.hold_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.hold_minutes IS 'How long a new hold lasts, in minutes.';


--
-- Name: COLUMN ticketing_settings.extension_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.extension_minutes IS 'How many minutes one extension adds to a hold.';


--
-- Name: COLUMN ticketing_settings.max_extensions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.max_extensions IS 'How often a hold may be extended.';


--
-- Name: COLUMN ticketing_settings.max_hold_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.max_hold_minutes IS 'The longest that a hold may last from its creation, extensions included, in minutes.';


--
-- Name: COLUMN ticketing_settings.order_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.order_minutes IS 'How long a hold lasts at least from when it is ordered, in minutes: time to pay.';


--
-- Name: COLUMN ticketing_settings.max_seats_per_reservation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.max_seats_per_reservation IS 'The most seats that one call of reserve_seats may hold.';


--
-- Name: COLUMN ticketing_settings.audit_retention_days; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.audit_retention_days IS 'For how many days audit and request logs are kept; whole months past it are dropped by purge_history().';


--
-- Name: COLUMN ticketing_settings.run_history_days; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.run_history_days IS 'For how many days the history of scheduled jobs is kept.';


--
-- Name: COLUMN ticketing_settings.personal_data_retention_days; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.personal_data_retention_days IS 'For how many days after their end holds and orders keep personal data.';


--
-- Name: COLUMN ticketing_settings.business_time_zone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.business_time_zone IS 'IANA time zone in which "today" begins on the dashboards.';


--
-- Name: COLUMN ticketing_settings.async_conflict_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketing_settings.async_conflict_log IS 'Whether a call of reserve_seats that ends in SEATS_UNAVAILABLE commits without waiting for the disk. Only for shops that call it in a transaction of its own.';


--
-- Name: CONSTRAINT ticketing_settings_audit_retention_days_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_audit_retention_days_check ON public.ticketing_settings IS 'Not shorter than the longest window of a dashboard, a week.';


--
-- Name: CONSTRAINT ticketing_settings_business_time_zone_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_business_time_zone_check ON public.ticketing_settings IS 'A zone that the server knows.';


--
-- Name: CONSTRAINT ticketing_settings_extension_minutes_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_extension_minutes_check ON public.ticketing_settings IS 'From a minute to a day.';


--
-- Name: CONSTRAINT ticketing_settings_hold_minutes_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_hold_minutes_check ON public.ticketing_settings IS 'From a minute to a day.';


--
-- Name: CONSTRAINT ticketing_settings_max_extensions_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_max_extensions_check ON public.ticketing_settings IS '0 forbids extensions.';


--
-- Name: CONSTRAINT ticketing_settings_max_hold_minutes_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_max_hold_minutes_check ON public.ticketing_settings IS 'Not shorter than a hold without extensions, at most a week.';


--
-- Name: CONSTRAINT ticketing_settings_max_seats_per_reservation_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_max_seats_per_reservation_check ON public.ticketing_settings IS 'Bounds the work of one call.';


--
-- Name: CONSTRAINT ticketing_settings_order_minutes_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_order_minutes_check ON public.ticketing_settings IS 'From a minute to a day.';


--
-- Name: CONSTRAINT ticketing_settings_personal_data_retention_days_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_personal_data_retention_days_check ON public.ticketing_settings IS 'From a day to a century.';


--
-- Name: CONSTRAINT ticketing_settings_run_history_days_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_run_history_days_check ON public.ticketing_settings IS 'Not shorter than the 24 hours that cleanup health looks back on.';


--
-- Name: CONSTRAINT ticketing_settings_singleton_check ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_singleton_check ON public.ticketing_settings IS 'One row only.';


--
-- Name: extension_trends; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.extension_trends AS
 SELECT
        CASE
            WHEN ((((midnight.at - '01:00:00'::interval) AT TIME ZONE midnight.zone))::date = midnight.day) THEN (midnight.at - '01:00:00'::interval)
            ELSE midnight.at
        END AS "time",
    midnight.extensions,
    midnight.unique_reservations
   FROM ( SELECT metric.day,
            metric.extensions,
            metric.unique_reservations,
            settings.business_time_zone AS zone,
            ((metric.day)::timestamp without time zone AT TIME ZONE settings.business_time_zone) AS at
           FROM (public.extension_metrics(7) metric(day, extensions, unique_reservations)
             CROSS JOIN public.ticketing_settings settings)) midnight
  ORDER BY midnight.at;


--
-- Name: VIEW extension_trends; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.extension_trends IS 'How often holds are extended, by the day, for 7 days: always 7 rows, oldest first.';


--
-- Name: COLUMN extension_trends."time"; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.extension_trends."time" IS 'Beginning of the day in business_time_zone.';


--
-- Name: COLUMN extension_trends.extensions; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.extension_trends.extensions IS 'Extensions.';


--
-- Name: COLUMN extension_trends.unique_reservations; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.extension_trends.unique_reservations IS 'Different reservations that were extended.';


--
-- Name: invariant_checks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.invariant_checks (
    invariant text NOT NULL,
    violations bigint NOT NULL,
    description text NOT NULL,
    checked_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT invariant_checks_checked_at_check CHECK (isfinite(checked_at))
);


--
-- Name: TABLE invariant_checks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.invariant_checks IS 'The last result of check_invariants(), for the views invariant_violations and health.';


--
-- Name: COLUMN invariant_checks.invariant; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.invariant_checks.invariant IS 'Name of the invariant, as in count_violations().';


--
-- Name: COLUMN invariant_checks.violations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.invariant_checks.violations IS 'How many rows broke it.';


--
-- Name: COLUMN invariant_checks.description; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.invariant_checks.description IS 'What is counted.';


--
-- Name: COLUMN invariant_checks.checked_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.invariant_checks.checked_at IS 'When it was checked.';


--
-- Name: CONSTRAINT invariant_checks_checked_at_check ON invariant_checks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT invariant_checks_checked_at_check ON public.invariant_checks IS 'Finite.';


--
-- Name: health; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.health AS
 WITH alert AS MATERIALIZED (
         SELECT every.alert_name,
            every.severity,
            every.firing,
            every.value,
            every.threshold,
            every.time_window_seconds,
            every.summary,
            every.action,
            every.runbook,
            every.unit,
                CASE
                    WHEN (every.firing = 0) THEN 0
                    WHEN (every.severity = 'critical'::text) THEN 2
                    WHEN (every.severity = 'warning'::text) THEN 1
                    ELSE 0
                END AS worth
           FROM monitoring.alerts every
        ), job AS MATERIALIZED (
         SELECT cleanup.scheduler,
            cleanup.last_run_age_seconds,
            cleanup.last_run_duration_seconds,
            cleanup.last_run_failed,
            cleanup.failed_runs_24h,
            cleanup.runs_24h,
            cleanup.overdue_holds,
            cleanup.oldest_overdue_seconds,
            cleanup.is_scheduled,
            cleanup.scheduler_alive,
            cleanup.has_run,
            cleanup.skipped_runs_24h,
            cleanup.longest_run_seconds
           FROM monitoring.cleanup_job_health cleanup
        ), mark AS MATERIALIZED (
         SELECT state.log,
            state.is_restored,
            state.age_seconds,
            state.waiting_seconds
           FROM public.rollup_state() state(log, is_restored, age_seconds, waiting_seconds)
        ), open_transaction AS MATERIALIZED (
         SELECT transaction.role_name,
            transaction.state,
            transaction.is_here,
            transaction.xid_age,
            transaction.age_seconds,
            transaction.idle_seconds,
            format('%s of role %s'::text, transaction.state, transaction.role_name) AS who
           FROM public.open_transactions() transaction(role_name, state, is_here, xid_age, age_seconds, idle_seconds)
        ), findings(check_name, severity, message, value, unit) AS (
         SELECT 'alerts'::text AS "?column?",
            alert.worth,
            format('%s fires: %s'::text, alert.alert_name, alert.summary) AS format,
            (count(*) OVER (PARTITION BY alert.worth))::double precision AS count,
            ''::text AS "?column?"
           FROM alert
          WHERE (alert.firing = 1)
        UNION ALL
         SELECT 'cleanup'::text AS check_name,
            alert.worth,
                CASE
                    WHEN ((alert.alert_name = 'overdue_holds'::text) AND (alert.firing = 1)) THEN 'holds that are over are not cleaned up'::text
                    WHEN (job.has_run = 0) THEN format('scheduled with %s, and has not run yet'::text, job.scheduler)
                    WHEN (job.last_run_failed = 1) THEN format('the last run, by %s, failed'::text, job.scheduler)
                    WHEN ((alert.alert_name = 'cleanup_job_slow'::text) AND (alert.firing = 1)) THEN format('a run by %s took too long'::text, job.scheduler)
                    WHEN ((alert.alert_name = 'cleanup_runs_failed'::text) AND (alert.firing = 1)) THEN 'runs have failed within a day'::text
                    WHEN (alert.firing = 1) THEN format('the last run, by %s, is too long ago'::text, job.scheduler)
                    ELSE format('the last run, by %s, succeeded'::text, job.scheduler)
                END AS format,
                CASE
                    WHEN (alert.firing = 1) THEN alert.value
                    ELSE job.last_run_age_seconds
                END AS last_run_age_seconds,
                CASE
                    WHEN (alert.firing = 1) THEN alert.unit
                    ELSE 's'::text
                END AS "case"
           FROM (alert
             CROSS JOIN job)
          WHERE ((starts_with(alert.alert_name, 'cleanup_'::text) OR (alert.alert_name = 'overdue_holds'::text)) AND ((job.scheduler <> 'none'::text) OR ((alert.alert_name = 'overdue_holds'::text) AND (alert.firing = 1))))
        UNION ALL
         SELECT 'cleanup'::text AS check_name,
            2,
            'the cleanup has never run: schedule it'::text AS message,
            NULL::double precision AS float8,
            's'::text AS unit
           FROM job
          WHERE (job.scheduler = 'none'::text)
        UNION ALL
         SELECT 'cleanup'::text AS check_name,
                CASE
                    WHEN (job.is_scheduled = 1) THEN 2
                    ELSE 1
                END AS "case",
                CASE
                    WHEN (job.is_scheduled = 1) THEN 'the process of pg_cron is gone: restart the server'::text
                    ELSE format('nothing has run the cleanup since %s: start it again'::text, job.scheduler)
                END AS format,
            job.last_run_age_seconds,
            's'::text AS unit
           FROM job
          WHERE ((job.scheduler_alive = 0) AND (job.scheduler <> 'none'::text))
        UNION ALL
         SELECT 'cleanup'::text AS check_name,
            2,
            cause.problem,
            job.last_run_age_seconds,
            's'::text AS unit
           FROM (public.cleanup_job_problem() cause(problem)
             CROSS JOIN job)
          WHERE (cause.problem IS NOT NULL)
        UNION ALL
         SELECT 'rollup'::text AS check_name,
                CASE
                    WHEN mark.is_restored THEN 2
                    WHEN (GREATEST(mark.age_seconds, mark.waiting_seconds) > ((3)::double precision * late.threshold)) THEN 2
                    WHEN (GREATEST(mark.age_seconds, mark.waiting_seconds) > late.threshold) THEN 1
                    ELSE 0
                END AS "case",
                CASE
                    WHEN mark.is_restored THEN format('%s was restored from another server, new events may be missing: run roll_up_metrics()'::text, mark.log)
                    WHEN ((mark.waiting_seconds > late.threshold) AND (mark.age_seconds <= late.threshold)) THEN format('%s is held back by a transaction, %s: end it'::text, mark.log, COALESCE(( SELECT holder.who
                       FROM open_transaction holder
                      WHERE (holder.xid_age IS NOT NULL)
                      ORDER BY holder.xid_age DESC
                     LIMIT 1), 'which only members of pg_read_all_stats may see'::text))
                    WHEN (mark.age_seconds > late.threshold) THEN format('%s is not being rolled up: run roll_up_metrics()'::text, mark.log)
                    ELSE 'the logs are rolled up'::text
                END AS "case",
            GREATEST(mark.age_seconds, mark.waiting_seconds) AS "greatest",
            's'::text AS unit
           FROM (mark
             CROSS JOIN alert late)
          WHERE (late.alert_name = 'rollup_late'::text)
        UNION ALL
         SELECT 'transactions'::text AS check_name,
            alert.worth,
                CASE
                    WHEN (alert.firing = 1) THEN COALESCE(( SELECT format('a transaction has been open for too long: %s'::text, oldest.who) AS format
                       FROM open_transaction oldest
                      WHERE oldest.is_here
                      ORDER BY oldest.age_seconds DESC
                     LIMIT 1), 'a transaction has been open for too long'::text)
                    WHEN (hidden.connections > 0) THEN 'those of other roles are not visible: grant the owner pg_read_all_stats'::text
                    ELSE 'none has been open for long'::text
                END AS "case",
            alert.value,
            alert.unit
           FROM (alert
             CROSS JOIN monitoring.connection_pool hidden)
          WHERE ((alert.alert_name = 'long_transaction'::text) AND (hidden.state = 'not visible'::text))
        UNION ALL
         SELECT 'locks'::text AS check_name,
            alert.worth,
                CASE
                    WHEN (alert.firing = 1) THEN 'sessions wait for a lock: see who holds it'::text
                    ELSE 'nobody waits for long'::text
                END AS "case",
            alert.value,
            alert.unit
           FROM alert
          WHERE (alert.alert_name = 'lock_waits'::text)
        UNION ALL
         SELECT 'refunds'::text AS check_name,
            alert.worth,
                CASE
                    WHEN (alert.firing = 1) THEN 'money has been due for too long: give it back'::text
                    ELSE 'none has been due for long'::text
                END AS "case",
            alert.value,
            alert.unit
           FROM alert
          WHERE (alert.alert_name = 'refunds_overdue'::text)
        UNION ALL
         SELECT 'partitions'::text AS check_name,
                CASE
                    WHEN (partitions.ends_at <= now()) THEN 2
                    WHEN (partitions.ends_at <= (now() + '744:00:00'::interval)) THEN 1
                    WHEN partitions.has_strays THEN 1
                    ELSE 0
                END AS "case",
                CASE
                    WHEN (partitions.ends_at <= (now() + '744:00:00'::interval)) THEN format('%s runs out of partitions: run maintain_partitions()'::text, partitions.log)
                    WHEN partitions.has_strays THEN format('%s has rows outside its months: run maintain_partitions()'::text, partitions.log)
                    ELSE 'partitions are there for the months to come'::text
                END AS "case",
            GREATEST((EXTRACT(epoch FROM (min(partitions.ends_at) OVER () - now())))::double precision, (0)::double precision) AS "greatest",
            's'::text AS unit
           FROM public.log_partitions() partitions(log, ends_at, has_strays, oldest_ends_at)
        UNION ALL
         SELECT 'partitions'::text AS check_name,
            alert.worth,
                CASE
                    WHEN (alert.firing = 1) THEN ( SELECT format('behind: %s'::text, string_agg(backlog.task, ', '::text ORDER BY backlog.task)) AS format
                       FROM public.maintenance_backlog() backlog(task, behind_seconds)
                      WHERE (backlog.behind_seconds > alert.threshold))
                    ELSE 'partitions are there for the months to come'::text
                END AS "case",
                CASE
                    WHEN (alert.firing = 1) THEN alert.value
                    ELSE NULL::double precision
                END AS "case",
            's'::text AS unit
           FROM alert
          WHERE (alert.alert_name = 'maintenance_behind'::text)
        UNION ALL
         SELECT 'invariants'::text AS check_name,
                CASE
                    WHEN (checked.violations > 0) THEN 2
                    WHEN (checked.checked_at < (now() - '01:00:00'::interval)) THEN 1
                    ELSE 0
                END AS "case",
                CASE
                    WHEN (checked.violations > 0) THEN format('%s is broken'::text, checked.invariant)
                    WHEN (checked.checked_at < (now() - '01:00:00'::interval)) THEN 'not checked of late: run check_invariants()'::text
                    ELSE 'all of them held'::text
                END AS "case",
                CASE
                    WHEN (checked.violations > 0) THEN (checked.violations)::double precision
                    ELSE GREATEST((EXTRACT(epoch FROM (now() - checked.checked_at)))::double precision, (0)::double precision)
                END AS "greatest",
                CASE
                    WHEN (checked.violations > 0) THEN ''::text
                    ELSE 's'::text
                END AS "case"
           FROM public.invariant_checks checked
        UNION ALL
         SELECT 'invariants'::text AS check_name,
            3,
            'never checked: run check_invariants()'::text AS message,
            NULL::double precision AS float8,
            's'::text AS unit
          WHERE (NOT (EXISTS ( SELECT
                   FROM public.invariant_checks)))
        UNION ALL
         SELECT 'connections'::text AS check_name,
                CASE
                    WHEN (pool.used_pct > (95)::double precision) THEN 2
                    WHEN (pool.used_pct > (80)::double precision) THEN 1
                    ELSE 0
                END AS "case",
                CASE
                    WHEN (pool.used_pct > (95)::double precision) THEN 'hardly any connection is left'::text
                    WHEN (pool.used_pct > (80)::double precision) THEN 'few connections are left'::text
                    ELSE 'connections are left'::text
                END AS "case",
            pool.used_pct,
            '%'::text AS unit
           FROM ( SELECT (((100.0)::double precision * (sum(by_state.connections))::double precision) / (((min(by_state.max_connections) - (current_setting('superuser_reserved_connections'::text))::integer) - (COALESCE(current_setting('reserved_connections'::text, true), '0'::text))::integer))::double precision) AS used_pct
                   FROM monitoring.connection_pool by_state) pool
        )
 SELECT checks.check_name,
        CASE COALESCE(worst.severity, 0)
            WHEN 0 THEN 'OK'::text
            WHEN 1 THEN 'WARNING'::text
            WHEN 2 THEN 'CRITICAL'::text
            ELSE 'UNKNOWN'::text
        END AS status,
    (COALESCE(worst.severity, 0))::smallint AS severity,
    COALESCE(worst.message, 'no alert fires'::text) AS message,
    worst.value,
    COALESCE(worst.unit, ''::text) AS unit
   FROM (( VALUES ('alerts'::text), ('cleanup'::text), ('rollup'::text), ('partitions'::text), ('invariants'::text), ('connections'::text), ('locks'::text), ('transactions'::text), ('refunds'::text)) checks(check_name)
     LEFT JOIN LATERAL ( SELECT worst_of.severity,
            string_agg(DISTINCT findings.message, '; '::text ORDER BY findings.message) AS message,
            (array_agg(findings.value ORDER BY findings.value DESC NULLS LAST))[1] AS value,
            (array_agg(findings.unit ORDER BY findings.value DESC NULLS LAST))[1] AS unit
           FROM (findings
             JOIN ( SELECT max(of_check.severity) AS severity
                   FROM findings of_check
                  WHERE (of_check.check_name = checks.check_name)) worst_of ON ((worst_of.severity = findings.severity)))
          WHERE (findings.check_name = checks.check_name)
          GROUP BY worst_of.severity) worst ON (true));


--
-- Name: VIEW health; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.health IS 'State of the installation: one row per check, always.';


--
-- Name: COLUMN health.check_name; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.health.check_name IS 'alerts, cleanup, rollup, partitions, invariants, connections, locks, transactions, refunds.';


--
-- Name: COLUMN health.status; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.health.status IS 'OK, WARNING, CRITICAL or UNKNOWN.';


--
-- Name: COLUMN health.severity; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.health.severity IS '0, 1, 2 or 3, as Nagios counts them.';


--
-- Name: COLUMN health.message; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.health.message IS 'What was found, and what to do: one of a few sentences, without numbers.';


--
-- Name: COLUMN health.value; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.health.value IS 'The number that goes with the message, in the unit given: how old the last run is, how far behind, how many alerts fire or rows are wrong; NULL where it never happened, or nothing fires.';


--
-- Name: COLUMN health.unit; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.health.unit IS 'Of the value: s, %, or nothing for a number.';


--
-- Name: hourly_metrics; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.hourly_metrics AS
 WITH settings AS (
         SELECT max(setting.business_time_zone) AS business_time_zone
           FROM public.ticketing_settings setting
        ), hours AS (
         SELECT (date_trunc('hour'::text, now(), settings.business_time_zone) - make_interval(hours => n.hours_ago)) AS start
           FROM (settings
             CROSS JOIN generate_series(0, 23) n(hours_ago))
        ), totals AS (
         SELECT hours.start,
            (COALESCE(sum(metric.created), (0)::numeric))::bigint AS created,
            (COALESCE(sum(metric.completed), (0)::numeric))::bigint AS completed,
            (COALESCE(sum(metric.expired), (0)::numeric))::bigint AS expired,
            (COALESCE(sum(metric.failed), (0)::numeric))::bigint AS failed
           FROM (hours
             LEFT JOIN public.reservation_metrics(public.window_start('25:00:00'::interval)) metric(minute, created, completed, expired, released, extended, failed, failed_attempts, race_conditions, constraint_violations, holds_ended, hold_microseconds, releases_ended, release_microseconds) ON (((metric.minute >= hours.start) AND (metric.minute < (hours.start + '01:00:00'::interval)))))
          GROUP BY hours.start
        )
 SELECT totals.start AS "time",
    totals.created AS reservations_created,
    totals.completed AS reservations_completed,
    totals.expired AS reservations_expired,
    totals.failed AS reservations_failed,
    (((100.0)::double precision * (totals.completed)::double precision) / (NULLIF(totals.created, 0))::double precision) AS completion_rate_pct
   FROM totals
  ORDER BY totals.start;


--
-- Name: VIEW hourly_metrics; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.hourly_metrics IS 'What happened to holds, by the hour, for 24 hours: always 24 rows, oldest first.';


--
-- Name: COLUMN hourly_metrics."time"; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.hourly_metrics."time" IS 'Beginning of the hour.';


--
-- Name: COLUMN hourly_metrics.reservations_created; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.hourly_metrics.reservations_created IS 'Holds created.';


--
-- Name: COLUMN hourly_metrics.reservations_completed; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.hourly_metrics.reservations_completed IS 'Holds completed.';


--
-- Name: COLUMN hourly_metrics.reservations_expired; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.hourly_metrics.reservations_expired IS 'Holds expired.';


--
-- Name: COLUMN hourly_metrics.reservations_failed; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.hourly_metrics.reservations_failed IS 'Calls refused.';


--
-- Name: COLUMN hourly_metrics.completion_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.hourly_metrics.completion_rate_pct IS 'Holds completed, in percent of those created; NULL when none was.';


--
-- Name: invariant_violations; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.invariant_violations AS
 SELECT checked.invariant,
    checked.violations,
    checked.description,
    GREATEST((EXTRACT(epoch FROM (now() - checked.checked_at)))::double precision, (0)::double precision) AS checked_age_seconds
   FROM public.invariant_checks checked;


--
-- Name: VIEW invariant_violations; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.invariant_violations IS 'One row per invariant of the tables, with the number of rows that broke it when check_invariants() last counted, every ten minutes: 0 when healthy.';


--
-- Name: COLUMN invariant_violations.invariant; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.invariant_violations.invariant IS 'Name of the invariant.';


--
-- Name: COLUMN invariant_violations.violations; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.invariant_violations.violations IS 'How many rows broke it.';


--
-- Name: COLUMN invariant_violations.description; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.invariant_violations.description IS 'What is counted.';


--
-- Name: COLUMN invariant_violations.checked_age_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.invariant_violations.checked_age_seconds IS 'Seconds since it was counted.';


--
-- Name: payment_failures; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.payment_failures AS
 SELECT total.time_window,
    total.orders AS total_orders,
    total.failed_orders,
    (((100.0)::double precision * (total.failed_orders)::double precision) / (NULLIF(total.orders, 0))::double precision) AS failure_rate_pct
   FROM ( SELECT windows.time_window,
            (COALESCE(sum(metric.orders), (0)::numeric))::bigint AS orders,
            (COALESCE(sum(metric.failed_orders), (0)::numeric))::bigint AS failed_orders
           FROM (( SELECT named.time_window,
                    public.window_start(named.length) AS since
                   FROM ( VALUES ('15m'::text,'00:15:00'::interval), ('24h'::text,'24:00:00'::interval)) named(time_window, length)) windows
             LEFT JOIN public.order_metrics(public.window_start('24:00:00'::interval)) metric(minute, currency, orders, failed_orders, paid_orders, revenue_in_cents, tickets, payments) ON ((metric.minute >= windows.since)))
          GROUP BY windows.time_window) total;


--
-- Name: VIEW payment_failures; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.payment_failures IS 'How many payments fail.';


--
-- Name: COLUMN payment_failures.time_window; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.payment_failures.time_window IS 'How far back: 5m, 15m, 1h or 24h.';


--
-- Name: COLUMN payment_failures.total_orders; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.payment_failures.total_orders IS 'Orders created in the window.';


--
-- Name: COLUMN payment_failures.failed_orders; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.payment_failures.failed_orders IS 'Those whose payment has failed, as things stand.';


--
-- Name: COLUMN payment_failures.failure_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.payment_failures.failure_rate_pct IS 'The same in percent; NULL without orders.';


--
-- Name: reservation_expiration_rate; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.reservation_expiration_rate AS
 SELECT total.time_window,
    total.created AS total_created,
    total.completed AS total_completed,
    total.expired AS total_expired,
    (((100.0)::double precision * (total.expired)::double precision) / (NULLIF(total.created, 0))::double precision) AS expiration_rate_pct
   FROM ( SELECT windows.time_window,
            (COALESCE(sum(metric.created), (0)::numeric))::bigint AS created,
            (COALESCE(sum(metric.completed), (0)::numeric))::bigint AS completed,
            (COALESCE(sum(metric.expired), (0)::numeric))::bigint AS expired
           FROM (( SELECT named.time_window,
                    public.window_start(named.length) AS since
                   FROM ( VALUES ('1h'::text,'01:00:00'::interval), ('24h'::text,'24:00:00'::interval)) named(time_window, length)) windows
             LEFT JOIN public.reservation_metrics(public.window_start('24:00:00'::interval)) metric(minute, created, completed, expired, released, extended, failed, failed_attempts, race_conditions, constraint_violations, holds_ended, hold_microseconds, releases_ended, release_microseconds) ON ((metric.minute >= windows.since)))
          GROUP BY windows.time_window) total;


--
-- Name: VIEW reservation_expiration_rate; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.reservation_expiration_rate IS 'How many holds expire without an order.';


--
-- Name: COLUMN reservation_expiration_rate.time_window; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_expiration_rate.time_window IS 'How far back: 5m, 15m, 1h or 24h.';


--
-- Name: COLUMN reservation_expiration_rate.total_created; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_expiration_rate.total_created IS 'Holds created in the window.';


--
-- Name: COLUMN reservation_expiration_rate.total_completed; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_expiration_rate.total_completed IS 'Holds completed in the window.';


--
-- Name: COLUMN reservation_expiration_rate.total_expired; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_expiration_rate.total_expired IS 'Holds expired in the window.';


--
-- Name: COLUMN reservation_expiration_rate.expiration_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_expiration_rate.expiration_rate_pct IS 'Holds expired, in percent of those created; NULL when none was. May exceed 100: what expires was created before.';


--
-- Name: reservation_hold_time; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.reservation_hold_time AS
 SELECT total.time_window,
    total.holds_ended,
    ((total.seconds / (NULLIF(total.holds_ended, 0))::double precision) / (60)::double precision) AS avg_hold_minutes,
    (total.seconds / (NULLIF(total.holds_ended, 0))::double precision) AS avg_hold_seconds
   FROM ( SELECT windows.time_window,
            (COALESCE(sum(metric.holds_ended), (0)::numeric))::bigint AS holds_ended,
            ((COALESCE(sum(metric.hold_microseconds), (0)::numeric))::double precision / ('1000000'::numeric)::double precision) AS seconds
           FROM (( SELECT named.time_window,
                    public.window_start(named.length) AS since
                   FROM ( VALUES ('24h'::text,'24:00:00'::interval)) named(time_window, length)) windows
             LEFT JOIN public.reservation_metrics(public.window_start('24:00:00'::interval)) metric(minute, created, completed, expired, released, extended, failed, failed_attempts, race_conditions, constraint_violations, holds_ended, hold_microseconds, releases_ended, release_microseconds) ON ((metric.minute >= windows.since)))
          GROUP BY windows.time_window) total;


--
-- Name: VIEW reservation_hold_time; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.reservation_hold_time IS 'How long holds last until they are completed or expire.';


--
-- Name: COLUMN reservation_hold_time.time_window; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_hold_time.time_window IS 'How far back: 5m, 15m, 1h or 24h.';


--
-- Name: COLUMN reservation_hold_time.holds_ended; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_hold_time.holds_ended IS 'Holds completed or expired in the window.';


--
-- Name: COLUMN reservation_hold_time.avg_hold_minutes; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_hold_time.avg_hold_minutes IS 'Their average length in minutes; NULL without any.';


--
-- Name: COLUMN reservation_hold_time.avg_hold_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_hold_time.avg_hold_seconds IS 'Their average length in seconds; NULL without any.';


--
-- Name: reservation_success_rate; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.reservation_success_rate AS
 SELECT total.time_window,
    (total.created + total.failed_attempts) AS total_attempts,
    total.created AS succeeded,
    total.race_conditions,
    (total.failed_attempts - total.race_conditions) AS system_errors,
    (((100.0)::double precision * (total.created)::double precision) / (NULLIF(((total.created + total.failed_attempts) - total.race_conditions), 0))::double precision) AS success_rate_pct,
    (((100.0)::double precision * (total.created)::double precision) / (NULLIF((total.created + total.failed_attempts), 0))::double precision) AS raw_success_rate_pct
   FROM ( SELECT windows.time_window,
            (COALESCE(sum(metric.created), (0)::numeric))::bigint AS created,
            (COALESCE(sum(metric.failed_attempts), (0)::numeric))::bigint AS failed_attempts,
            (COALESCE(sum(metric.race_conditions), (0)::numeric))::bigint AS race_conditions
           FROM (( SELECT named.time_window,
                    public.window_start(named.length) AS since
                   FROM ( VALUES ('1h'::text,'01:00:00'::interval), ('24h'::text,'24:00:00'::interval)) named(time_window, length)) windows
             LEFT JOIN public.reservation_metrics(public.window_start('24:00:00'::interval)) metric(minute, created, completed, expired, released, extended, failed, failed_attempts, race_conditions, constraint_violations, holds_ended, hold_microseconds, releases_ended, release_microseconds) ON ((metric.minute >= windows.since)))
          GROUP BY windows.time_window) total;


--
-- Name: VIEW reservation_success_rate; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.reservation_success_rate IS 'How many attempts to hold seats succeed.';


--
-- Name: COLUMN reservation_success_rate.time_window; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_success_rate.time_window IS 'How far back: 5m, 15m, 1h or 24h.';


--
-- Name: COLUMN reservation_success_rate.total_attempts; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_success_rate.total_attempts IS 'Holds created, and attempts to reserve that were refused.';


--
-- Name: COLUMN reservation_success_rate.succeeded; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_success_rate.succeeded IS 'Holds created.';


--
-- Name: COLUMN reservation_success_rate.race_conditions; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_success_rate.race_conditions IS 'Attempts refused because of another customer: the seats are taken, or being worked on.';


--
-- Name: COLUMN reservation_success_rate.system_errors; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_success_rate.system_errors IS 'Attempts refused for another reason.';


--
-- Name: COLUMN reservation_success_rate.success_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_success_rate.success_rate_pct IS 'Holds created, in percent of the attempts without race conditions; NULL without any.';


--
-- Name: COLUMN reservation_success_rate.raw_success_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.reservation_success_rate.raw_success_rate_pct IS 'Holds created, in percent of all attempts; NULL without any.';


--
-- Name: quality_dashboard; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.quality_dashboard AS
 SELECT success.success_rate_pct,
    success.raw_success_rate_pct,
    double_booking.attempts AS double_booking_attempts,
    expiration.expiration_rate_pct,
    hold_time.holds_ended,
    hold_time.avg_hold_seconds,
    payment.failure_rate_pct AS payment_failure_rate_pct
   FROM ((((monitoring.reservation_success_rate success
     CROSS JOIN monitoring.double_booking_attempts double_booking)
     CROSS JOIN monitoring.reservation_expiration_rate expiration)
     CROSS JOIN monitoring.reservation_hold_time hold_time)
     CROSS JOIN monitoring.payment_failures payment)
  WHERE ((success.time_window = '24h'::text) AND (double_booking.time_window = '24h'::text) AND (expiration.time_window = '24h'::text) AND (hold_time.time_window = '24h'::text) AND (payment.time_window = '24h'::text));


--
-- Name: VIEW quality_dashboard; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.quality_dashboard IS 'Quality of the last 24 hours: one row.';


--
-- Name: COLUMN quality_dashboard.success_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.quality_dashboard.success_rate_pct IS 'Holds created, in percent of the attempts without race conditions; NULL without any.';


--
-- Name: COLUMN quality_dashboard.raw_success_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.quality_dashboard.raw_success_rate_pct IS 'Holds created, in percent of all attempts; NULL without any.';


--
-- Name: COLUMN quality_dashboard.double_booking_attempts; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.quality_dashboard.double_booking_attempts IS 'Calls that a constraint stopped; should be 0.';


--
-- Name: COLUMN quality_dashboard.expiration_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.quality_dashboard.expiration_rate_pct IS 'Holds expired, in percent of those created; NULL when none was.';


--
-- Name: COLUMN quality_dashboard.holds_ended; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.quality_dashboard.holds_ended IS 'Holds completed or expired.';


--
-- Name: COLUMN quality_dashboard.avg_hold_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.quality_dashboard.avg_hold_seconds IS 'Their average length in seconds; NULL without any.';


--
-- Name: COLUMN quality_dashboard.payment_failure_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.quality_dashboard.payment_failure_rate_pct IS 'Orders whose payment has failed, in percent; NULL without orders.';


--
-- Name: shows; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.shows (
    id uuid DEFAULT public.uuid_v7() NOT NULL,
    name text NOT NULL,
    venue text DEFAULT ''::text NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    time_zone text DEFAULT 'UTC'::text NOT NULL,
    currency text NOT NULL,
    status text DEFAULT 'draft'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT shows_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT shows_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT shows_name_check CHECK ((name ~ '[^[:space:]]'::text)),
    CONSTRAINT shows_starts_at_check CHECK (isfinite(starts_at)),
    CONSTRAINT shows_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'on_sale'::text, 'closed'::text, 'cancelled'::text]))),
    CONSTRAINT shows_time_zone_check CHECK (public.is_time_zone(time_zone))
);


--
-- Name: TABLE shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.shows IS 'Performances. Seats can be held while the status is on_sale.';


--
-- Name: COLUMN shows.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.id IS 'Key, and the distribution column of everything that belongs to the show.';


--
-- Name: COLUMN shows.name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.name IS 'Title, as printed on the ticket.';


--
-- Name: COLUMN shows.venue; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.venue IS 'Where it takes place.';


--
-- Name: COLUMN shows.starts_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.starts_at IS 'When it begins.';


--
-- Name: COLUMN shows.time_zone; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.time_zone IS 'IANA time zone of the venue.';


--
-- Name: COLUMN shows.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.currency IS 'ISO 4217 code of all prices of this show, which are in its minor unit.';


--
-- Name: COLUMN shows.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.status IS 'draft: being set up; on_sale: seats can be held; closed: sale is over, holds may still be paid; cancelled: nothing is sold any more, payments that arrive become refund_due.';


--
-- Name: COLUMN shows.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.shows.created_at IS 'When the row was created.';


--
-- Name: CONSTRAINT shows_created_at_check ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_created_at_check ON public.shows IS 'Finite.';


--
-- Name: CONSTRAINT shows_currency_check ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_currency_check ON public.shows IS 'Three capital letters.';


--
-- Name: CONSTRAINT shows_name_check ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_name_check ON public.shows IS 'Not blank.';


--
-- Name: CONSTRAINT shows_starts_at_check ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_starts_at_check ON public.shows IS 'Finite.';


--
-- Name: CONSTRAINT shows_status_check ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_status_check ON public.shows IS 'The statuses there are.';


--
-- Name: CONSTRAINT shows_time_zone_check ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_time_zone_check ON public.shows IS 'A zone that the server knows.';


--
-- Name: revenue_today; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.revenue_today AS
 WITH RECURSIVE settings AS (
         SELECT max(setting.business_time_zone) AS business_time_zone
           FROM public.ticketing_settings setting
        ), today AS (
         SELECT metric.currency,
            (sum(metric.revenue_in_cents))::bigint AS revenue_cents,
            (sum(metric.paid_orders))::bigint AS orders_paid,
            (sum(metric.tickets))::bigint AS tickets_sold
           FROM (settings
             CROSS JOIN LATERAL public.order_metrics(public.window_start('26:00:00'::interval)) metric(minute, currency, orders, failed_orders, paid_orders, revenue_in_cents, tickets, payments))
          WHERE ((metric.minute < (now() + '2 days'::interval)) AND (((metric.minute AT TIME ZONE settings.business_time_zone))::date = ((now() AT TIME ZONE settings.business_time_zone))::date))
          GROUP BY metric.currency
         HAVING ((sum(metric.paid_orders) <> (0)::numeric) OR (sum(metric.tickets) <> (0)::numeric))
        ), given_back AS (
         SELECT refund.currency,
            (sum(refund.refunded_in_cents))::bigint AS refunded_cents
           FROM (settings
             CROSS JOIN LATERAL public.partial_refunds(public.window_start('26:00:00'::interval)) refund(ordered_at, currency, refunded_in_cents))
          WHERE ((refund.ordered_at < (now() + '2 days'::interval)) AND (((refund.ordered_at AT TIME ZONE settings.business_time_zone))::date = ((now() AT TIME ZONE settings.business_time_zone))::date))
          GROUP BY refund.currency
        ), of_shows AS (
         SELECT min(show.currency) AS currency
           FROM public.shows show
        UNION ALL
         SELECT ( SELECT min(show.currency) AS min
                   FROM public.shows show
                  WHERE (show.currency > of_shows.currency)) AS min
           FROM of_shows
          WHERE (of_shows.currency IS NOT NULL)
        ), currencies AS (
         SELECT today_1.currency
           FROM today today_1
        UNION
         SELECT of_shows.currency
           FROM of_shows
          WHERE (of_shows.currency IS NOT NULL)
        UNION
         SELECT 'none'::text AS currency
          WHERE (NOT (EXISTS ( SELECT
                   FROM public.shows)))
        )
 SELECT currencies.currency,
    (COALESCE(today.revenue_cents, (0)::bigint) - COALESCE(given_back.refunded_cents, (0)::bigint)) AS revenue_cents,
    COALESCE(today.orders_paid, (0)::bigint) AS orders_paid,
    COALESCE(today.tickets_sold, (0)::bigint) AS tickets_sold,
    (((COALESCE(today.revenue_cents, (0)::bigint) - COALESCE(given_back.refunded_cents, (0)::bigint)))::double precision / power((10)::double precision, (COALESCE((unit.decimals)::integer, 2))::double precision)) AS revenue
   FROM (((currencies
     LEFT JOIN today ON ((today.currency = currencies.currency)))
     LEFT JOIN given_back ON ((given_back.currency = currencies.currency)))
     LEFT JOIN public.currencies unit ON ((unit.code = currencies.currency)));


--
-- Name: VIEW revenue_today; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.revenue_today IS 'Revenue of today by currency. Today begins at midnight in business_time_zone.';


--
-- Name: COLUMN revenue_today.currency; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.revenue_today.currency IS 'ISO 4217 code; none while there is no show.';


--
-- Name: COLUMN revenue_today.revenue_cents; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.revenue_today.revenue_cents IS 'Total of the orders created today that are paid, less what was given back of them, in the minor unit of the currency: cents of EUR, yen of JPY.';


--
-- Name: COLUMN revenue_today.orders_paid; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.revenue_today.orders_paid IS 'How many orders that are.';


--
-- Name: COLUMN revenue_today.tickets_sold; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.revenue_today.tickets_sold IS 'Tickets issued today, refunded ones included.';


--
-- Name: COLUMN revenue_today.revenue; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.revenue_today.revenue IS 'The revenue in the major unit: euros of EUR, yen of JPY.';


--
-- Name: realtime_dashboard; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.realtime_dashboard AS
 WITH last_hour AS (
         SELECT (COALESCE(sum(metric.created), (0)::numeric))::bigint AS created
           FROM public.reservation_metrics(public.window_start('01:00:00'::interval)) metric(minute, created, completed, expired, released, extended, failed, failed_attempts, race_conditions, constraint_violations, holds_ended, hold_microseconds, releases_ended, release_microseconds)
        ), today AS (
         SELECT (sum(revenue.tickets_sold))::bigint AS tickets_sold,
                CASE
                    WHEN (count(*) FILTER (WHERE (revenue.revenue_cents <> 0)) <= 1) THEN (sum(revenue.revenue_cents))::bigint
                    ELSE NULL::bigint
                END AS revenue_cents
           FROM monitoring.revenue_today revenue
        )
 SELECT holds.active_reservations,
    last_hour.created AS reservations_last_hour,
    today.tickets_sold AS tickets_sold_today,
    today.revenue_cents AS revenue_today_cents,
    job.last_run_age_seconds AS last_cleanup_age_seconds,
    ((job.last_run_failed)::integer)::smallint AS last_cleanup_failed,
    job.last_run_duration_seconds AS last_cleanup_duration_seconds,
    ((job.has_run)::integer)::smallint AS cleanup_has_run
   FROM (((public.active_reservation_totals() holds(active_reservations, expiring_soon, total_seats_held)
     CROSS JOIN public.cleanup_job_state() job(scheduler, last_run_age_seconds, last_run_duration_seconds, last_run_failed, failed_runs_24h, runs_24h, is_scheduled, scheduler_alive, has_run, skipped_runs_24h, longest_run_seconds))
     CROSS JOIN last_hour)
     CROSS JOIN today);


--
-- Name: VIEW realtime_dashboard; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.realtime_dashboard IS 'Real-time operations: one row.';


--
-- Name: COLUMN realtime_dashboard.active_reservations; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.active_reservations IS 'Holds that are not over.';


--
-- Name: COLUMN realtime_dashboard.reservations_last_hour; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.reservations_last_hour IS 'Holds created in the last hour.';


--
-- Name: COLUMN realtime_dashboard.tickets_sold_today; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.tickets_sold_today IS 'Tickets issued today, refunded ones included.';


--
-- Name: COLUMN realtime_dashboard.revenue_today_cents; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.revenue_today_cents IS 'Total of the orders created today that are paid, less what was given back of them, in the minor unit of their currency; NULL where there are several currencies: see revenue_today.';


--
-- Name: COLUMN realtime_dashboard.last_cleanup_age_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.last_cleanup_age_seconds IS 'Seconds since the last run of the cleanup began; NULL if there was none.';


--
-- Name: COLUMN realtime_dashboard.last_cleanup_failed; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.last_cleanup_failed IS '1 if it failed.';


--
-- Name: COLUMN realtime_dashboard.last_cleanup_duration_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.last_cleanup_duration_seconds IS 'How long it took, in seconds; NULL if there was none.';


--
-- Name: COLUMN realtime_dashboard.cleanup_has_run; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.realtime_dashboard.cleanup_has_run IS '0 if there was none.';


--
-- Name: system_health; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.system_health AS
 WITH pool AS (
         SELECT (sum(by_state.connections))::bigint AS connections,
            min(by_state.max_connections) AS max_connections,
            sum(by_state.used_pct) AS used_pct
           FROM monitoring.connection_pool by_state
        ), api AS (
         SELECT (COALESCE(sum(metric.requests), (0)::numeric))::bigint AS requests,
            (COALESCE(sum(metric.errors), (0)::numeric))::bigint AS errors,
            ((sum(metric.duration_microseconds))::double precision / (1000)::double precision) AS milliseconds
           FROM public.api_metrics(public.window_start('01:00:00'::interval)) metric(endpoint, requests, errors, duration_microseconds)
        ), rollup AS (
         SELECT max(mark.age_seconds) AS age_seconds
           FROM public.rollup_state() mark(log, is_restored, age_seconds, waiting_seconds)
        )
 SELECT job.last_run_age_seconds AS last_cleanup_age_seconds,
    ((job.last_run_failed)::integer)::smallint AS last_cleanup_failed,
    job.last_run_duration_seconds AS last_cleanup_duration_seconds,
    ((job.scheduler_alive)::integer)::smallint AS scheduler_alive,
    holds.overdue_holds,
    pool.connections,
    pool.max_connections,
    pool.used_pct AS connections_used_pct,
    api.requests AS requests_last_hour,
    (((100.0)::double precision * (api.errors)::double precision) / (NULLIF(api.requests, 0))::double precision) AS error_rate_pct,
    (api.milliseconds / (NULLIF(api.requests, 0))::double precision) AS avg_milliseconds,
    rollup.age_seconds AS rollup_age_seconds,
    ((job.has_run)::integer)::smallint AS cleanup_has_run
   FROM ((((public.cleanup_job_state() job(scheduler, last_run_age_seconds, last_run_duration_seconds, last_run_failed, failed_runs_24h, runs_24h, is_scheduled, scheduler_alive, has_run, skipped_runs_24h, longest_run_seconds)
     CROSS JOIN public.overdue_hold_totals() holds(overdue_holds, oldest_overdue_seconds))
     CROSS JOIN pool)
     CROSS JOIN api)
     CROSS JOIN rollup);


--
-- Name: VIEW system_health; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.system_health IS 'State of the machinery: one row.';


--
-- Name: COLUMN system_health.last_cleanup_age_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.last_cleanup_age_seconds IS 'Seconds since the last run of the cleanup began; NULL if there was none.';


--
-- Name: COLUMN system_health.last_cleanup_failed; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.last_cleanup_failed IS '1 if it failed.';


--
-- Name: COLUMN system_health.last_cleanup_duration_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.last_cleanup_duration_seconds IS 'How long it took, in seconds; NULL if there was none.';


--
-- Name: COLUMN system_health.scheduler_alive; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.scheduler_alive IS '1 if whatever runs the cleanup is there.';


--
-- Name: COLUMN system_health.overdue_holds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.overdue_holds IS 'Holds that are over and not cleaned up.';


--
-- Name: COLUMN system_health.connections; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.connections IS 'Connections of clients to the server.';


--
-- Name: COLUMN system_health.max_connections; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.max_connections IS 'How many connections the server accepts.';


--
-- Name: COLUMN system_health.connections_used_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.connections_used_pct IS 'The connections in percent of that.';


--
-- Name: COLUMN system_health.requests_last_hour; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.requests_last_hour IS 'Requests to the endpoints of the shop in the last hour.';


--
-- Name: COLUMN system_health.error_rate_pct; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.error_rate_pct IS 'Those answered with a status of 500 or above, in percent; NULL without requests.';


--
-- Name: COLUMN system_health.avg_milliseconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.avg_milliseconds IS 'Their average duration in milliseconds; NULL without requests.';


--
-- Name: COLUMN system_health.rollup_age_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.rollup_age_seconds IS 'Seconds since the logs were last rolled up.';


--
-- Name: COLUMN system_health.cleanup_has_run; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.system_health.cleanup_has_run IS '0 if the cleanup has never run.';


--
-- Name: top_errors; Type: VIEW; Schema: monitoring; Owner: -
--

CREATE VIEW monitoring.top_errors AS
 SELECT COALESCE(error.error_message, '(none)'::text) AS error_message,
    COALESCE(error.occurrences, (0)::bigint) AS occurrences,
    GREATEST((EXTRACT(epoch FROM (now() - error.last_seen_at)))::double precision, (0)::double precision) AS last_seen_age_seconds
   FROM (( VALUES (1)) always(is_there)
     LEFT JOIN public.error_metrics(public.window_start('24:00:00'::interval), 10) error(error_message, occurrences, last_seen_at) ON (true))
  ORDER BY error.occurrences DESC, error.last_seen_at DESC, error.error_message;


--
-- Name: VIEW top_errors; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON VIEW monitoring.top_errors IS 'The ten most frequent error messages of the last 24 hours.';


--
-- Name: COLUMN top_errors.error_message; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.top_errors.error_message IS 'The message; (no message) where a row has none, (none) when there was no error.';


--
-- Name: COLUMN top_errors.occurrences; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.top_errors.occurrences IS 'How often.';


--
-- Name: COLUMN top_errors.last_seen_age_seconds; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON COLUMN monitoring.top_errors.last_seen_age_seconds IS 'Seconds since the latest; 0 for one in the future.';


--
-- Name: api_duration_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_duration_minutes (
    minute timestamp with time zone NOT NULL,
    endpoint text NOT NULL,
    duration_bucket smallint NOT NULL,
    requests bigint NOT NULL,
    CONSTRAINT api_duration_minutes_minute_check CHECK (isfinite(minute))
)
WITH (fillfactor='80');


--
-- Name: TABLE api_duration_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.api_duration_minutes IS 'Requests a minute, endpoint and duration. Written by roll_up_metrics(), read through api_durations().';


--
-- Name: COLUMN api_duration_minutes.minute; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_duration_minutes.minute IS 'The minute, by created_at of the events.';


--
-- Name: COLUMN api_duration_minutes.endpoint; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_duration_minutes.endpoint IS 'Route of the request.';


--
-- Name: COLUMN api_duration_minutes.duration_bucket; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_duration_minutes.duration_bucket IS 'Durations of up to duration_bucket_growth() ^ bucket milliseconds, and longer than those of the bucket before.';


--
-- Name: COLUMN api_duration_minutes.requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_duration_minutes.requests IS 'Requests.';


--
-- Name: CONSTRAINT api_duration_minutes_minute_check ON api_duration_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_duration_minutes_minute_check ON public.api_duration_minutes IS 'Finite.';


--
-- Name: api_request_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_request_log (
    id bigint NOT NULL,
    endpoint text NOT NULL,
    method text NOT NULL,
    status_code integer NOT NULL,
    duration_ms double precision NOT NULL,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT api_request_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT api_request_log_duration_ms_check CHECK (((duration_ms >= (0)::double precision) AND (duration_ms < 'Infinity'::double precision))),
    CONSTRAINT api_request_log_endpoint_check CHECK (((length(endpoint) >= 1) AND (length(endpoint) <= 200))),
    CONSTRAINT api_request_log_method_check CHECK ((method ~ '^[A-Z]{1,20}$'::text)),
    CONSTRAINT api_request_log_status_code_check CHECK (((status_code >= 100) AND (status_code <= 599)))
)
PARTITION BY RANGE (created_at);


--
-- Name: TABLE api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.api_request_log IS 'Append-only log of API requests, one month a partition.';


--
-- Name: COLUMN api_request_log.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_log.id IS 'Number of the row; gaps after a rollback are normal.';


--
-- Name: COLUMN api_request_log.endpoint; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_log.endpoint IS 'The route, with placeholders in place of ids: each distinct value becomes a label.';


--
-- Name: COLUMN api_request_log.method; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_log.method IS 'HTTP method.';


--
-- Name: COLUMN api_request_log.status_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_log.status_code IS 'HTTP status.';


--
-- Name: COLUMN api_request_log.duration_ms; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_log.duration_ms IS 'How long it took, in milliseconds.';


--
-- Name: COLUMN api_request_log.xact_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_log.xact_id IS 'The transaction that wrote the row, for the exact rollup.';


--
-- Name: COLUMN api_request_log.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_log.created_at IS 'Start of the transaction that wrote the row; the partition key.';


--
-- Name: CONSTRAINT api_request_log_created_at_check ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_log_created_at_check ON public.api_request_log IS 'Finite.';


--
-- Name: CONSTRAINT api_request_log_duration_ms_check ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_log_duration_ms_check ON public.api_request_log IS 'A finite time.';


--
-- Name: CONSTRAINT api_request_log_endpoint_check ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_log_endpoint_check ON public.api_request_log IS 'Not empty, bounded.';


--
-- Name: CONSTRAINT api_request_log_method_check ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_log_method_check ON public.api_request_log IS 'Capital letters.';


--
-- Name: CONSTRAINT api_request_log_status_code_check ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_log_status_code_check ON public.api_request_log IS 'An HTTP status.';


--
-- Name: api_request_log_default; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_request_log_default (
    id bigint NOT NULL,
    endpoint text NOT NULL,
    method text NOT NULL,
    status_code integer NOT NULL,
    duration_ms double precision NOT NULL,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT api_request_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT api_request_log_duration_ms_check CHECK (((duration_ms >= (0)::double precision) AND (duration_ms < 'Infinity'::double precision))),
    CONSTRAINT api_request_log_endpoint_check CHECK (((length(endpoint) >= 1) AND (length(endpoint) <= 200))),
    CONSTRAINT api_request_log_method_check CHECK ((method ~ '^[A-Z]{1,20}$'::text)),
    CONSTRAINT api_request_log_status_code_check CHECK (((status_code >= 100) AND (status_code <= 599)))
);


--
-- Name: TABLE api_request_log_default; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.api_request_log_default IS 'Rows of api_request_log that no month has a partition for: no event is ever lost.';


--
-- Name: api_request_log_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.api_request_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.api_request_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: api_request_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.api_request_minutes (
    minute timestamp with time zone NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    duration_microseconds bigint NOT NULL,
    CONSTRAINT api_request_minutes_minute_check CHECK (isfinite(minute))
)
WITH (fillfactor='80');


--
-- Name: TABLE api_request_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.api_request_minutes IS 'Requests a minute and endpoint. Written by roll_up_metrics(), read through api_metrics().';


--
-- Name: COLUMN api_request_minutes.minute; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_minutes.minute IS 'The minute, by created_at of the events.';


--
-- Name: COLUMN api_request_minutes.endpoint; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_minutes.endpoint IS 'Route of the request.';


--
-- Name: COLUMN api_request_minutes.requests; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_minutes.requests IS 'Requests.';


--
-- Name: COLUMN api_request_minutes.errors; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_minutes.errors IS 'Those answered with a status of 500 or above.';


--
-- Name: COLUMN api_request_minutes.duration_microseconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.api_request_minutes.duration_microseconds IS 'How long they took together, in microseconds.';


--
-- Name: CONSTRAINT api_request_minutes_minute_check ON api_request_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_minutes_minute_check ON public.api_request_minutes IS 'Finite.';


--
-- Name: change_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.change_log (
    id bigint NOT NULL,
    table_name text NOT NULL,
    operation text NOT NULL,
    row_key jsonb NOT NULL,
    rows_changed bigint DEFAULT 1 NOT NULL,
    old_values jsonb,
    new_values jsonb,
    session_role text DEFAULT SESSION_USER NOT NULL,
    acting_role text DEFAULT COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text) NOT NULL,
    application_name text DEFAULT current_setting('application_name'::text) NOT NULL,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT change_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT change_log_operation_check CHECK ((operation = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text]))),
    CONSTRAINT change_log_rows_changed_check CHECK ((rows_changed > 0))
)
PARTITION BY RANGE (created_at);


--
-- Name: TABLE change_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.change_log IS 'Append-only log of changes by hand, one month a partition: who changed which row of shows, seats, holds, orders, tickets, settings or alert rules, from what to what. It outlives the erasure of personal data: such values are only said to have changed.';


--
-- Name: COLUMN change_log.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.id IS 'Number of the row; gaps after a rollback are normal.';


--
-- Name: COLUMN change_log.table_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.table_name IS 'The table, without its schema.';


--
-- Name: COLUMN change_log.operation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.operation IS 'insert, update or delete.';


--
-- Name: COLUMN change_log.row_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.row_key IS 'The key of the row, before an update: its columns by name. The show alone where seats were added.';


--
-- Name: COLUMN change_log.rows_changed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.rows_changed IS 'How many rows the line is about: 1, or how many seats one statement added to a show.';


--
-- Name: COLUMN change_log.old_values; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.old_values IS 'What an update replaced or a delete removed, by column; *** for what is personal or secret.';


--
-- Name: COLUMN change_log.new_values; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.new_values IS 'What an update or an insert put there, by column; *** for what is personal or secret.';


--
-- Name: COLUMN change_log.session_role; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.session_role IS 'The role that logged in.';


--
-- Name: COLUMN change_log.acting_role; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.acting_role IS 'The role that it had taken with SET ROLE, or the same.';


--
-- Name: COLUMN change_log.application_name; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.application_name IS 'What the client called itself, such as psql.';


--
-- Name: COLUMN change_log.xact_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.xact_id IS 'The transaction: changes made together bear the same number.';


--
-- Name: COLUMN change_log.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.change_log.created_at IS 'Start of the transaction that made the change; the partition key.';


--
-- Name: CONSTRAINT change_log_created_at_check ON change_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT change_log_created_at_check ON public.change_log IS 'Finite.';


--
-- Name: CONSTRAINT change_log_operation_check ON change_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT change_log_operation_check ON public.change_log IS 'The operations there are; TRUNCATE is refused.';


--
-- Name: CONSTRAINT change_log_rows_changed_check ON change_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT change_log_rows_changed_check ON public.change_log IS 'A line is about something.';


--
-- Name: change_log_default; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.change_log_default (
    id bigint NOT NULL,
    table_name text NOT NULL,
    operation text NOT NULL,
    row_key jsonb NOT NULL,
    rows_changed bigint DEFAULT 1 NOT NULL,
    old_values jsonb,
    new_values jsonb,
    session_role text DEFAULT SESSION_USER NOT NULL,
    acting_role text DEFAULT COALESCE(NULLIF(current_setting('role'::text), 'none'::text), (SESSION_USER)::text) NOT NULL,
    application_name text DEFAULT current_setting('application_name'::text) NOT NULL,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT change_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT change_log_operation_check CHECK ((operation = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text]))),
    CONSTRAINT change_log_rows_changed_check CHECK ((rows_changed > 0))
);


--
-- Name: TABLE change_log_default; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.change_log_default IS 'Rows of change_log that no month has a partition for: no event is ever lost.';


--
-- Name: change_log_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.change_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.change_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: error_messages; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.error_messages (
    message_sha256 bytea NOT NULL,
    error_message text NOT NULL
);


--
-- Name: TABLE error_messages; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.error_messages IS 'Messages of refused calls. Written by roll_up_metrics().';


--
-- Name: COLUMN error_messages.message_sha256; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.error_messages.message_sha256 IS 'SHA-256 of the message: an index takes no long texts.';


--
-- Name: COLUMN error_messages.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.error_messages.error_message IS 'The message.';


--
-- Name: error_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.error_minutes (
    minute timestamp with time zone NOT NULL,
    message_sha256 bytea NOT NULL,
    occurrences bigint NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    CONSTRAINT error_minutes_last_seen_at_check CHECK (isfinite(last_seen_at)),
    CONSTRAINT error_minutes_minute_check CHECK (isfinite(minute))
)
WITH (fillfactor='80');


--
-- Name: TABLE error_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.error_minutes IS 'Refused calls a minute and message. Written by roll_up_metrics(), read through error_metrics().';


--
-- Name: COLUMN error_minutes.minute; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.error_minutes.minute IS 'The minute, by created_at of the events.';


--
-- Name: COLUMN error_minutes.message_sha256; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.error_minutes.message_sha256 IS 'Which message: see error_messages.';


--
-- Name: COLUMN error_minutes.occurrences; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.error_minutes.occurrences IS 'How often.';


--
-- Name: COLUMN error_minutes.last_seen_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.error_minutes.last_seen_at IS 'The latest.';


--
-- Name: CONSTRAINT error_minutes_last_seen_at_check ON error_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT error_minutes_last_seen_at_check ON public.error_minutes IS 'Finite.';


--
-- Name: CONSTRAINT error_minutes_minute_check ON error_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT error_minutes_minute_check ON public.error_minutes IS 'Finite.';


--
-- Name: extended_reservations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.extended_reservations (
    reservation_id uuid NOT NULL,
    quarter timestamp with time zone NOT NULL,
    CONSTRAINT extended_reservations_quarter_check CHECK (isfinite(quarter))
);


--
-- Name: TABLE extended_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.extended_reservations IS 'Which reservations were extended in which quarter of an hour, of the last days. Written by roll_up_metrics().';


--
-- Name: COLUMN extended_reservations.reservation_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.extended_reservations.reservation_id IS 'The reservation.';


--
-- Name: COLUMN extended_reservations.quarter; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.extended_reservations.quarter IS 'The quarter of an hour.';


--
-- Name: CONSTRAINT extended_reservations_quarter_check ON extended_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT extended_reservations_quarter_check ON public.extended_reservations IS 'Finite.';


--
-- Name: extension_quarters; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.extension_quarters (
    quarter timestamp with time zone NOT NULL,
    previous_quarter timestamp with time zone NOT NULL,
    reservations bigint NOT NULL,
    CONSTRAINT extension_quarters_previous_quarter_check CHECK (isfinite(previous_quarter)),
    CONSTRAINT extension_quarters_quarter_check CHECK (isfinite(quarter))
);


--
-- Name: TABLE extension_quarters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.extension_quarters IS 'Reservations extended in a quarter of an hour, by when they were extended before. Written by roll_up_metrics(), read through extension_metrics().';


--
-- Name: COLUMN extension_quarters.quarter; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.extension_quarters.quarter IS 'The quarter of an hour.';


--
-- Name: COLUMN extension_quarters.previous_quarter; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.extension_quarters.previous_quarter IS 'The last quarter before this one in which the same reservations were extended; 1970 where there was none.';


--
-- Name: COLUMN extension_quarters.reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.extension_quarters.reservations IS 'How many reservations.';


--
-- Name: CONSTRAINT extension_quarters_previous_quarter_check ON extension_quarters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT extension_quarters_previous_quarter_check ON public.extension_quarters IS 'Finite.';


--
-- Name: CONSTRAINT extension_quarters_quarter_check ON extension_quarters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT extension_quarters_quarter_check ON public.extension_quarters IS 'Finite.';


--
-- Name: metric_watermarks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.metric_watermarks (
    log text NOT NULL,
    watermark xid8 DEFAULT '0'::xid8 NOT NULL,
    last_folded_id bigint DEFAULT 0 NOT NULL,
    restored_id bigint DEFAULT 0 NOT NULL,
    system_identifier bigint,
    rolled_up_at timestamp with time zone DEFAULT now() NOT NULL,
    advanced_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT metric_watermarks_advanced_at_check CHECK (isfinite(advanced_at)),
    CONSTRAINT metric_watermarks_rolled_up_at_check CHECK (isfinite(rolled_up_at))
);


--
-- Name: TABLE metric_watermarks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.metric_watermarks IS 'How far each log has been rolled up into the tables that the monitoring views read.';


--
-- Name: COLUMN metric_watermarks.log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_watermarks.log IS 'Name of the log, without the schema.';


--
-- Name: COLUMN metric_watermarks.watermark; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_watermarks.watermark IS 'Rows of the log whose xact_id is below this are in the rollups.';


--
-- Name: COLUMN metric_watermarks.last_folded_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_watermarks.last_folded_id IS 'Highest id of a row that is in the rollups.';


--
-- Name: COLUMN metric_watermarks.restored_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_watermarks.restored_id IS 'Rows up to this id came with a dump of another server and are all in the rollups; 0 where there are none.';


--
-- Name: COLUMN metric_watermarks.system_identifier; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_watermarks.system_identifier IS 'The server that the watermark belongs to; NULL where it does not tell.';


--
-- Name: COLUMN metric_watermarks.rolled_up_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_watermarks.rolled_up_at IS 'When the log was last rolled up, whether or not there was anything to do.';


--
-- Name: COLUMN metric_watermarks.advanced_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.metric_watermarks.advanced_at IS 'When the watermark last moved: an open transaction holds it back.';


--
-- Name: CONSTRAINT metric_watermarks_advanced_at_check ON metric_watermarks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT metric_watermarks_advanced_at_check ON public.metric_watermarks IS 'Finite.';


--
-- Name: CONSTRAINT metric_watermarks_rolled_up_at_check ON metric_watermarks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT metric_watermarks_rolled_up_at_check ON public.metric_watermarks IS 'Finite.';


--
-- Name: order_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.order_minutes (
    minute timestamp with time zone NOT NULL,
    currency text NOT NULL,
    orders bigint NOT NULL,
    failed_orders bigint NOT NULL,
    paid_orders bigint NOT NULL,
    revenue_in_cents bigint NOT NULL,
    tickets bigint NOT NULL,
    payments bigint NOT NULL,
    CONSTRAINT order_minutes_minute_check CHECK (isfinite(minute))
)
WITH (fillfactor='80');


--
-- Name: TABLE order_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.order_minutes IS 'Orders and tickets a minute and currency. Written by roll_up_metrics(), read through order_metrics().';


--
-- Name: COLUMN order_minutes.minute; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.minute IS 'The minute.';


--
-- Name: COLUMN order_minutes.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.currency IS 'ISO 4217 code; none where a refused call named no order.';


--
-- Name: COLUMN order_minutes.orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.orders IS 'Orders created in this minute.';


--
-- Name: COLUMN order_minutes.failed_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.failed_orders IS 'Those of them whose payment has failed, as things stand.';


--
-- Name: COLUMN order_minutes.paid_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.paid_orders IS 'Those of them that are paid, as things stand.';


--
-- Name: COLUMN order_minutes.revenue_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.revenue_in_cents IS 'What those that are paid brought, in the minor unit of the currency.';


--
-- Name: COLUMN order_minutes.tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.tickets IS 'Tickets issued in this minute, whenever they were ordered.';


--
-- Name: COLUMN order_minutes.payments; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.order_minutes.payments IS 'What payment providers reported in this minute: payments, failures, and what was refused of them.';


--
-- Name: CONSTRAINT order_minutes_minute_check ON order_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT order_minutes_minute_check ON public.order_minutes IS 'Finite.';


--
-- Name: payment_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.payment_events (
    provider text NOT NULL,
    event_id text NOT NULL,
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    kind text NOT NULL,
    amount_in_cents bigint,
    success boolean NOT NULL,
    order_status text NOT NULL,
    ticket_ids uuid[] NOT NULL,
    error_code text,
    error_message text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT payment_events_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT payment_events_error_code_check CHECK ((success = (error_code IS NULL))),
    CONSTRAINT payment_events_event_id_check CHECK (((length(event_id) <= 200) AND (event_id ~ '[^[:space:]]'::text))),
    CONSTRAINT payment_events_kind_check CHECK ((kind = ANY (ARRAY['payment'::text, 'failure'::text, 'refund'::text, 'dispute'::text]))),
    CONSTRAINT payment_events_provider_check CHECK (((length(provider) <= 200) AND (provider ~ '[^[:space:]]'::text)))
);


--
-- Name: TABLE payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.payment_events IS 'Events of payment providers, each stored once for each order and kind, with the answer that was given. Append-only.';


--
-- Name: COLUMN payment_events.provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.provider IS 'Who sent it, such as stripe.';


--
-- Name: COLUMN payment_events.event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.event_id IS 'The provider''s id of the event.';


--
-- Name: COLUMN payment_events.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN payment_events.order_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.order_id IS 'The order that it is about.';


--
-- Name: COLUMN payment_events.kind; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.kind IS 'payment (confirm_payment), failure (fail_payment), refund or dispute: the same payment may first fail and then succeed.';


--
-- Name: COLUMN payment_events.amount_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.amount_in_cents IS 'What was paid, in the minor unit of the currency of the order; NULL for a failure.';


--
-- Name: COLUMN payment_events.success; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.success IS 'The answer: whether it was accepted.';


--
-- Name: COLUMN payment_events.order_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.order_status IS 'The answer: status of the order after it.';


--
-- Name: COLUMN payment_events.ticket_ids; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.ticket_ids IS 'The answer: the tickets issued.';


--
-- Name: COLUMN payment_events.error_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.error_code IS 'The answer: why it was refused.';


--
-- Name: COLUMN payment_events.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.error_message IS 'The answer, in words.';


--
-- Name: COLUMN payment_events.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_events.created_at IS 'When it was received first.';


--
-- Name: CONSTRAINT payment_events_created_at_check ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_events_created_at_check ON public.payment_events IS 'Finite.';


--
-- Name: CONSTRAINT payment_events_error_code_check ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_events_error_code_check ON public.payment_events IS 'A refusal has a reason, and nothing else has.';


--
-- Name: CONSTRAINT payment_events_event_id_check ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_events_event_id_check ON public.payment_events IS 'Not blank, bounded.';


--
-- Name: CONSTRAINT payment_events_kind_check ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_events_kind_check ON public.payment_events IS 'The kinds there are.';


--
-- Name: CONSTRAINT payment_events_provider_check ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_events_provider_check ON public.payment_events IS 'Not blank, bounded.';


--
-- Name: payment_intents; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.payment_intents (
    payment_intent_id text NOT NULL,
    payment_provider text NOT NULL,
    order_id uuid NOT NULL,
    show_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT payment_intents_created_at_check CHECK (isfinite(created_at))
);


--
-- Name: TABLE payment_intents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.payment_intents IS 'Earlier payments of an order: those that ticket_orders.payment_intent_id no longer names.';


--
-- Name: COLUMN payment_intents.payment_intent_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_intents.payment_intent_id IS 'The provider''s id of the payment.';


--
-- Name: COLUMN payment_intents.payment_provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_intents.payment_provider IS 'Who was to take the money; empty where nobody was named.';


--
-- Name: COLUMN payment_intents.order_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_intents.order_id IS 'The order it was begun for.';


--
-- Name: COLUMN payment_intents.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_intents.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN payment_intents.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.payment_intents.created_at IS 'When another took its place in the order.';


--
-- Name: CONSTRAINT payment_intents_created_at_check ON payment_intents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_intents_created_at_check ON public.payment_intents IS 'Finite.';


--
-- Name: refunds; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.refunds (
    id uuid DEFAULT public.uuid_v7() NOT NULL,
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    ticket_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    amount_in_cents bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    status text DEFAULT 'due'::text NOT NULL,
    payment_provider text,
    payment_event_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    done_at timestamp with time zone,
    CONSTRAINT refunds_amount_in_cents_check CHECK ((amount_in_cents > 0)),
    CONSTRAINT refunds_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT refunds_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT refunds_done_at_check CHECK ((((status = 'done'::text) = (done_at IS NOT NULL)) AND isfinite(done_at))),
    CONSTRAINT refunds_payment_event_id_check CHECK ((length(payment_event_id) <= 200)),
    CONSTRAINT refunds_payment_provider_check CHECK ((length(payment_provider) <= 200)),
    CONSTRAINT refunds_reason_check CHECK ((reason = ANY (ARRAY['late_payment'::text, 'double_payment'::text, 'amount_mismatch'::text, 'show_cancelled'::text, 'tickets_cancelled'::text, 'dispute'::text]))),
    CONSTRAINT refunds_status_check CHECK ((status = ANY (ARRAY['due'::text, 'done'::text])))
);


--
-- Name: TABLE refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.refunds IS 'Money to give back, and whether it has been. Every payment that bought no tickets has a row. refund_order() writes and settles the rows of an order''s own payment; of any other, set status and done_at by hand when the money has gone back.';


--
-- Name: COLUMN refunds.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.id IS 'Key, together with the show.';


--
-- Name: COLUMN refunds.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN refunds.order_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.order_id IS 'The order that the money came for.';


--
-- Name: COLUMN refunds.ticket_ids; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.ticket_ids IS 'The tickets that were taken back for it; empty where the money bought none.';


--
-- Name: COLUMN refunds.amount_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.amount_in_cents IS 'What is to be given back, in the minor unit of the currency.';


--
-- Name: COLUMN refunds.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.currency IS 'ISO 4217 code.';


--
-- Name: COLUMN refunds.reason; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.reason IS 'late_payment: the seats were gone; double_payment: the order had its money; amount_mismatch: not the amount of the order; show_cancelled; tickets_cancelled; dispute: the bank took it back.';


--
-- Name: COLUMN refunds.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.status IS 'due: owed to the buyer; done: given back.';


--
-- Name: COLUMN refunds.payment_provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.payment_provider IS 'Who took the money, such as stripe; NULL where none did.';


--
-- Name: COLUMN refunds.payment_event_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.payment_event_id IS 'The provider''s event that the money came with, as in payment_events.';


--
-- Name: COLUMN refunds.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.created_at IS 'When it was found to be owed.';


--
-- Name: COLUMN refunds.done_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.refunds.done_at IS 'When it was recorded as given back.';


--
-- Name: CONSTRAINT refunds_amount_in_cents_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_amount_in_cents_check ON public.refunds IS 'There is something to give back.';


--
-- Name: CONSTRAINT refunds_created_at_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_created_at_check ON public.refunds IS 'Finite.';


--
-- Name: CONSTRAINT refunds_currency_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_currency_check ON public.refunds IS 'Three capital letters.';


--
-- Name: CONSTRAINT refunds_done_at_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_done_at_check ON public.refunds IS 'Set exactly when it has been given back.';


--
-- Name: CONSTRAINT refunds_payment_event_id_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_payment_event_id_check ON public.refunds IS 'Bounded.';


--
-- Name: CONSTRAINT refunds_payment_provider_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_payment_provider_check ON public.refunds IS 'Bounded.';


--
-- Name: CONSTRAINT refunds_reason_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_reason_check ON public.refunds IS 'The reasons there are.';


--
-- Name: CONSTRAINT refunds_status_check ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_status_check ON public.refunds IS 'The statuses there are.';


--
-- Name: reservation_cleanup_job_status; Type: VIEW; Schema: public; Owner: -
--

CREATE VIEW public.reservation_cleanup_job_status AS
 SELECT run.jobname,
    run.schedule,
    run.active,
    run.command,
    run.status,
    run.return_message,
    run.start_time,
    run.end_time,
    (EXTRACT(epoch FROM (run.end_time - run.start_time)))::double precision AS duration_seconds,
    run.scheduler
   FROM public.reservation_cleanup_job_runs() WITH ORDINALITY run(jobname, schedule, active, command, status, return_message, start_time, end_time, scheduler, ordinality)
  ORDER BY run.ordinality;


--
-- Name: VIEW reservation_cleanup_job_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON VIEW public.reservation_cleanup_job_status IS 'The last 10 runs of the cleanup, newest first.';


--
-- Name: COLUMN reservation_cleanup_job_status.jobname; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.jobname IS 'Name of the job.';


--
-- Name: COLUMN reservation_cleanup_job_status.schedule; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.schedule IS 'When pg_cron runs it; NULL for another scheduler.';


--
-- Name: COLUMN reservation_cleanup_job_status.active; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.active IS 'Whether the job is switched on.';


--
-- Name: COLUMN reservation_cleanup_job_status.command; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.command IS 'What it runs.';


--
-- Name: COLUMN reservation_cleanup_job_status.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.status IS 'running, succeeded, failed, or skipped: another run was at work; pg_cron also knows starting, connecting and sending.';


--
-- Name: COLUMN reservation_cleanup_job_status.return_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.return_message IS 'What it did, or why it failed; NULL where it failed without a word.';


--
-- Name: COLUMN reservation_cleanup_job_status.start_time; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.start_time IS 'When it began; NULL while pg_cron has not started it, or where it could not.';


--
-- Name: COLUMN reservation_cleanup_job_status.end_time; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.end_time IS 'When it ended; NULL while it runs.';


--
-- Name: COLUMN reservation_cleanup_job_status.duration_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.duration_seconds IS 'How long it took, in seconds.';


--
-- Name: COLUMN reservation_cleanup_job_status.scheduler; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_job_status.scheduler IS 'Who started it: pg_cron, ticketdb, or external.';


--
-- Name: reservation_cleanup_lock; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reservation_cleanup_lock (
    singleton boolean DEFAULT true NOT NULL,
    CONSTRAINT reservation_cleanup_lock_singleton_check CHECK (singleton)
);


--
-- Name: TABLE reservation_cleanup_lock; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reservation_cleanup_lock IS 'One row, locked by the run of the cleanup that is at work. Nobody but the owner has any right on it.';


--
-- Name: COLUMN reservation_cleanup_lock.singleton; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_lock.singleton IS 'Always true: there is one row.';


--
-- Name: CONSTRAINT reservation_cleanup_lock_singleton_check ON reservation_cleanup_lock; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_lock_singleton_check ON public.reservation_cleanup_lock IS 'One row only.';


--
-- Name: reservation_cleanup_runs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reservation_cleanup_runs (
    id bigint NOT NULL,
    scheduler text NOT NULL,
    backend_pid integer DEFAULT pg_backend_pid() NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    status text DEFAULT 'running'::text NOT NULL,
    reservations_expired integer DEFAULT 0 NOT NULL,
    seats_released integer DEFAULT 0 NOT NULL,
    orders_cancelled integer DEFAULT 0 NOT NULL,
    error_message text,
    CONSTRAINT reservation_cleanup_runs_finished_at_check CHECK ((((status = 'running'::text) = (finished_at IS NULL)) AND isfinite(finished_at))),
    CONSTRAINT reservation_cleanup_runs_orders_cancelled_check CHECK ((orders_cancelled >= 0)),
    CONSTRAINT reservation_cleanup_runs_reservations_expired_check CHECK ((reservations_expired >= 0)),
    CONSTRAINT reservation_cleanup_runs_scheduler_check CHECK (((length(scheduler) >= 1) AND (length(scheduler) <= 100))),
    CONSTRAINT reservation_cleanup_runs_seats_released_check CHECK ((seats_released >= 0)),
    CONSTRAINT reservation_cleanup_runs_started_at_check CHECK (isfinite(started_at)),
    CONSTRAINT reservation_cleanup_runs_status_check CHECK ((status = ANY (ARRAY['running'::text, 'succeeded'::text, 'failed'::text, 'skipped'::text])))
);


--
-- Name: TABLE reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reservation_cleanup_runs IS 'Runs of run_reservation_cleanup(), kept for ticketing_settings.run_history_days.';


--
-- Name: COLUMN reservation_cleanup_runs.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.id IS 'Number of the run, ascending.';


--
-- Name: COLUMN reservation_cleanup_runs.scheduler; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.scheduler IS 'Who started it: pg_cron, ticketdb, or external.';


--
-- Name: COLUMN reservation_cleanup_runs.backend_pid; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.backend_pid IS 'The server process of the run: one that is running without it has died.';


--
-- Name: COLUMN reservation_cleanup_runs.started_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.started_at IS 'When it began.';


--
-- Name: COLUMN reservation_cleanup_runs.finished_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.finished_at IS 'When it ended; NULL while it runs.';


--
-- Name: COLUMN reservation_cleanup_runs.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.status IS 'running, succeeded, failed, or skipped: another run was at work.';


--
-- Name: COLUMN reservation_cleanup_runs.reservations_expired; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.reservations_expired IS 'How many holds it has ended so far.';


--
-- Name: COLUMN reservation_cleanup_runs.seats_released; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.seats_released IS 'How many seats it has freed so far.';


--
-- Name: COLUMN reservation_cleanup_runs.orders_cancelled; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.orders_cancelled IS 'How many orders it has cancelled so far whose hold had expired.';


--
-- Name: COLUMN reservation_cleanup_runs.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_cleanup_runs.error_message IS 'Why it failed or was skipped.';


--
-- Name: CONSTRAINT reservation_cleanup_runs_finished_at_check ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_finished_at_check ON public.reservation_cleanup_runs IS 'Set exactly when it has ended.';


--
-- Name: CONSTRAINT reservation_cleanup_runs_orders_cancelled_check ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_orders_cancelled_check ON public.reservation_cleanup_runs IS 'Not negative.';


--
-- Name: CONSTRAINT reservation_cleanup_runs_reservations_expired_check ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_reservations_expired_check ON public.reservation_cleanup_runs IS 'Not negative.';


--
-- Name: CONSTRAINT reservation_cleanup_runs_scheduler_check ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_scheduler_check ON public.reservation_cleanup_runs IS 'Not empty, bounded.';


--
-- Name: CONSTRAINT reservation_cleanup_runs_seats_released_check ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_seats_released_check ON public.reservation_cleanup_runs IS 'Not negative.';


--
-- Name: CONSTRAINT reservation_cleanup_runs_started_at_check ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_started_at_check ON public.reservation_cleanup_runs IS 'Finite.';


--
-- Name: CONSTRAINT reservation_cleanup_runs_status_check ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_status_check ON public.reservation_cleanup_runs IS 'The statuses there are.';


--
-- Name: reservation_cleanup_runs_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.reservation_cleanup_runs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.reservation_cleanup_runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: reservation_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reservation_minutes (
    minute timestamp with time zone NOT NULL,
    created bigint NOT NULL,
    completed bigint NOT NULL,
    expired bigint NOT NULL,
    released bigint NOT NULL,
    extended bigint NOT NULL,
    failed bigint NOT NULL,
    failed_attempts bigint NOT NULL,
    race_conditions bigint NOT NULL,
    constraint_violations bigint NOT NULL,
    holds_ended bigint NOT NULL,
    hold_microseconds bigint NOT NULL,
    releases_ended bigint NOT NULL,
    release_microseconds bigint NOT NULL,
    CONSTRAINT reservation_minutes_minute_check CHECK (isfinite(minute))
)
WITH (fillfactor='80');


--
-- Name: TABLE reservation_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reservation_minutes IS 'Events of seat_reservation_audit_log a minute. Written by roll_up_metrics(), read through reservation_metrics().';


--
-- Name: COLUMN reservation_minutes.minute; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.minute IS 'The minute, by created_at of the events.';


--
-- Name: COLUMN reservation_minutes.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.created IS 'Holds created.';


--
-- Name: COLUMN reservation_minutes.completed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.completed IS 'Holds completed: sold.';


--
-- Name: COLUMN reservation_minutes.expired; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.expired IS 'Holds expired.';


--
-- Name: COLUMN reservation_minutes.released; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.released IS 'Releases, partial ones included.';


--
-- Name: COLUMN reservation_minutes.extended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.extended IS 'Extensions.';


--
-- Name: COLUMN reservation_minutes.failed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.failed IS 'Refused calls.';


--
-- Name: COLUMN reservation_minutes.failed_attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.failed_attempts IS 'Those of them that were to reserve seats.';


--
-- Name: COLUMN reservation_minutes.race_conditions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.race_conditions IS 'Refused attempts to reserve that met another customer: seats taken, or busy.';


--
-- Name: COLUMN reservation_minutes.constraint_violations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.constraint_violations IS 'Refused calls that a constraint of the database stopped.';


--
-- Name: COLUMN reservation_minutes.holds_ended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.holds_ended IS 'Completed and expired holds whose length is known.';


--
-- Name: COLUMN reservation_minutes.hold_microseconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.hold_microseconds IS 'Their length together, in microseconds: whole numbers add up exactly.';


--
-- Name: COLUMN reservation_minutes.releases_ended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.releases_ended IS 'Released holds whose length is known.';


--
-- Name: COLUMN reservation_minutes.release_microseconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_minutes.release_microseconds IS 'Their length together, in microseconds.';


--
-- Name: CONSTRAINT reservation_minutes_minute_check ON reservation_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_minutes_minute_check ON public.reservation_minutes IS 'Finite.';


--
-- Name: reservation_seats; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reservation_seats (
    reservation_id uuid NOT NULL,
    show_seat_id uuid NOT NULL,
    show_id uuid NOT NULL,
    price_in_cents bigint NOT NULL,
    currency text NOT NULL,
    released_at timestamp with time zone,
    CONSTRAINT reservation_seats_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT reservation_seats_price_in_cents_check CHECK (((price_in_cents >= 0) AND (price_in_cents <= '100000000000'::bigint))),
    CONSTRAINT reservation_seats_released_at_check CHECK (isfinite(released_at))
);


--
-- Name: TABLE reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reservation_seats IS 'Claims of reservations on seats. Live while held and after the sale; released when given back, expired or refunded.';


--
-- Name: COLUMN reservation_seats.reservation_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_seats.reservation_id IS 'The reservation that claims the seat.';


--
-- Name: COLUMN reservation_seats.show_seat_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_seats.show_seat_id IS 'The seat.';


--
-- Name: COLUMN reservation_seats.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_seats.show_id IS 'The show of both; distribution column.';


--
-- Name: COLUMN reservation_seats.price_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_seats.price_in_cents IS 'Price when the seat was held, in the minor unit of the currency: what the buyer was told is what is charged.';


--
-- Name: COLUMN reservation_seats.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_seats.currency IS 'ISO 4217 code when the seat was held.';


--
-- Name: COLUMN reservation_seats.released_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_seats.released_at IS 'When the claim ended; NULL while it is live.';


--
-- Name: CONSTRAINT reservation_seats_currency_check ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_seats_currency_check ON public.reservation_seats IS 'Three capital letters.';


--
-- Name: CONSTRAINT reservation_seats_price_in_cents_check ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_seats_price_in_cents_check ON public.reservation_seats IS 'From nothing to a billion.';


--
-- Name: CONSTRAINT reservation_seats_released_at_check ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_seats_released_at_check ON public.reservation_seats IS 'Finite.';


--
-- Name: reservation_show_minutes; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.reservation_show_minutes (
    show_id uuid NOT NULL,
    minute timestamp with time zone NOT NULL,
    created bigint NOT NULL,
    completed bigint NOT NULL,
    expired bigint NOT NULL,
    released bigint NOT NULL,
    extended bigint NOT NULL,
    failed bigint NOT NULL,
    failed_attempts bigint NOT NULL,
    race_conditions bigint NOT NULL,
    constraint_violations bigint NOT NULL,
    holds_ended bigint NOT NULL,
    hold_microseconds bigint NOT NULL,
    releases_ended bigint NOT NULL,
    release_microseconds bigint NOT NULL,
    CONSTRAINT reservation_show_minutes_minute_check CHECK (isfinite(minute))
)
WITH (fillfactor='80');


--
-- Name: TABLE reservation_show_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.reservation_show_minutes IS 'Events of seat_reservation_audit_log a show and minute. Written by roll_up_metrics(), read through reservation_metrics().';


--
-- Name: COLUMN reservation_show_minutes.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.show_id IS 'The show, or the nil UUID where the caller named none.';


--
-- Name: COLUMN reservation_show_minutes.minute; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.minute IS 'The minute, by created_at of the events.';


--
-- Name: COLUMN reservation_show_minutes.created; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.created IS 'Holds created.';


--
-- Name: COLUMN reservation_show_minutes.completed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.completed IS 'Holds completed: sold.';


--
-- Name: COLUMN reservation_show_minutes.expired; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.expired IS 'Holds expired.';


--
-- Name: COLUMN reservation_show_minutes.released; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.released IS 'Releases, partial ones included.';


--
-- Name: COLUMN reservation_show_minutes.extended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.extended IS 'Extensions.';


--
-- Name: COLUMN reservation_show_minutes.failed; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.failed IS 'Refused calls.';


--
-- Name: COLUMN reservation_show_minutes.failed_attempts; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.failed_attempts IS 'Those of them that were to reserve seats.';


--
-- Name: COLUMN reservation_show_minutes.race_conditions; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.race_conditions IS 'Refused attempts to reserve that met another customer: seats taken, or busy.';


--
-- Name: COLUMN reservation_show_minutes.constraint_violations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.constraint_violations IS 'Refused calls that a constraint of the database stopped.';


--
-- Name: COLUMN reservation_show_minutes.holds_ended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.holds_ended IS 'Completed and expired holds whose length is known.';


--
-- Name: COLUMN reservation_show_minutes.hold_microseconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.hold_microseconds IS 'Their length together, in microseconds: whole numbers add up exactly.';


--
-- Name: COLUMN reservation_show_minutes.releases_ended; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.releases_ended IS 'Released holds whose length is known.';


--
-- Name: COLUMN reservation_show_minutes.release_microseconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.reservation_show_minutes.release_microseconds IS 'Their length together, in microseconds.';


--
-- Name: CONSTRAINT reservation_show_minutes_minute_check ON reservation_show_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_show_minutes_minute_check ON public.reservation_show_minutes IS 'Finite.';


--
-- Name: seat_reservation_audit_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.seat_reservation_audit_log (
    id bigint NOT NULL,
    event_type text NOT NULL,
    reservation_id uuid,
    show_id uuid NOT NULL,
    session_id text,
    seat_count integer DEFAULT 0 NOT NULL,
    seat_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    error_code text,
    error_message text,
    user_agent text,
    ip_address inet,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    hold_seconds double precision,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT seat_reservation_audit_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT seat_reservation_audit_log_event_type_check CHECK ((event_type = ANY (ARRAY['created'::text, 'extended'::text, 'released'::text, 'expired'::text, 'completed'::text, 'failed'::text])))
)
PARTITION BY RANGE (created_at);


--
-- Name: TABLE seat_reservation_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.seat_reservation_audit_log IS 'Append-only log of holds, one month a partition. The source of every reservation metric.';


--
-- Name: COLUMN seat_reservation_audit_log.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.id IS 'Number of the row; gaps after a rollback are normal.';


--
-- Name: COLUMN seat_reservation_audit_log.event_type; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.event_type IS 'created, extended, released, expired, completed, or failed: a call was refused.';


--
-- Name: COLUMN seat_reservation_audit_log.reservation_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.reservation_id IS 'The reservation; NULL where none came about.';


--
-- Name: COLUMN seat_reservation_audit_log.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.show_id IS 'The show, or the nil UUID where the caller named none. No foreign key: nothing may delete from here.';


--
-- Name: COLUMN seat_reservation_audit_log.session_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.session_id IS 'The session of the caller, cut to 200 characters.';


--
-- Name: COLUMN seat_reservation_audit_log.seat_count; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.seat_count IS 'How many seats it was about.';


--
-- Name: COLUMN seat_reservation_audit_log.seat_ids; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.seat_ids IS 'Which seats; the first 100 of a call that was refused.';


--
-- Name: COLUMN seat_reservation_audit_log.error_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.error_code IS 'Of failed: why, as returned to the caller.';


--
-- Name: COLUMN seat_reservation_audit_log.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.error_message IS 'Of failed: why, in words, as returned to the caller.';


--
-- Name: COLUMN seat_reservation_audit_log.user_agent; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.user_agent IS 'Browser of the buyer. Personal.';


--
-- Name: COLUMN seat_reservation_audit_log.ip_address; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.ip_address IS 'Address of the buyer. Personal.';


--
-- Name: COLUMN seat_reservation_audit_log.metadata; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.metadata IS 'Further facts: function (which call was refused), late, partial, sqlstate, detail.';


--
-- Name: COLUMN seat_reservation_audit_log.hold_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.hold_seconds IS 'How long the hold lasted, in seconds, on the event that ended it.';


--
-- Name: COLUMN seat_reservation_audit_log.xact_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.xact_id IS 'The transaction that wrote the row, for the exact rollup.';


--
-- Name: COLUMN seat_reservation_audit_log.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.seat_reservation_audit_log.created_at IS 'Start of the transaction that wrote the row; the partition key.';


--
-- Name: CONSTRAINT seat_reservation_audit_log_created_at_check ON seat_reservation_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservation_audit_log_created_at_check ON public.seat_reservation_audit_log IS 'Finite.';


--
-- Name: CONSTRAINT seat_reservation_audit_log_event_type_check ON seat_reservation_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservation_audit_log_event_type_check ON public.seat_reservation_audit_log IS 'The events there are.';


--
-- Name: seat_reservation_audit_log_default; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.seat_reservation_audit_log_default (
    id bigint NOT NULL,
    event_type text NOT NULL,
    reservation_id uuid,
    show_id uuid NOT NULL,
    session_id text,
    seat_count integer DEFAULT 0 NOT NULL,
    seat_ids uuid[] DEFAULT '{}'::uuid[] NOT NULL,
    error_code text,
    error_message text,
    user_agent text,
    ip_address inet,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    hold_seconds double precision,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT seat_reservation_audit_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT seat_reservation_audit_log_event_type_check CHECK ((event_type = ANY (ARRAY['created'::text, 'extended'::text, 'released'::text, 'expired'::text, 'completed'::text, 'failed'::text])))
);


--
-- Name: TABLE seat_reservation_audit_log_default; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.seat_reservation_audit_log_default IS 'Rows of seat_reservation_audit_log that no month has a partition for: no event is ever lost.';


--
-- Name: seat_reservation_audit_log_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.seat_reservation_audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.seat_reservation_audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: show_seats; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.show_seats (
    id uuid DEFAULT public.uuid_v7() NOT NULL,
    show_id uuid NOT NULL,
    section text NOT NULL,
    row_label text NOT NULL,
    seat_number text NOT NULL,
    status text DEFAULT 'available'::text NOT NULL,
    reserved_by uuid,
    reserved_until timestamp with time zone,
    price_in_cents bigint NOT NULL,
    CONSTRAINT show_seats_price_in_cents_check CHECK (((price_in_cents >= 0) AND (price_in_cents <= '100000000000'::bigint))),
    CONSTRAINT show_seats_reserved_by_check CHECK ((((status = 'reserved'::text) = (reserved_by IS NOT NULL)) AND ((status = 'reserved'::text) = (reserved_until IS NOT NULL)))),
    CONSTRAINT show_seats_reserved_until_check CHECK (isfinite(reserved_until)),
    CONSTRAINT show_seats_status_check CHECK ((status = ANY (ARRAY['available'::text, 'reserved'::text, 'sold'::text, 'blocked'::text])))
)
WITH (fillfactor='70');


--
-- Name: TABLE show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.show_seats IS 'Seats of a show with price and present state. A reserved seat whose hold is over is free to be taken.';


--
-- Name: COLUMN show_seats.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.id IS 'Key, together with the show.';


--
-- Name: COLUMN show_seats.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN show_seats.section; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.section IS 'Part of the hall, as printed on the ticket.';


--
-- Name: COLUMN show_seats.row_label; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.row_label IS 'Row within the section.';


--
-- Name: COLUMN show_seats.seat_number; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.seat_number IS 'Seat within the row.';


--
-- Name: COLUMN show_seats.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.status IS 'available, reserved (held by reserved_by), sold, or blocked by the house.';


--
-- Name: COLUMN show_seats.reserved_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.reserved_by IS 'The id of the reservation that holds the seat; set exactly while the status is reserved.';


--
-- Name: COLUMN show_seats.reserved_until; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.reserved_until IS 'When the hold is over: a copy of seat_reservations.expires_at, kept by a trigger.';


--
-- Name: COLUMN show_seats.price_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.show_seats.price_in_cents IS 'Price in the minor unit of the currency of the show, see currencies.';


--
-- Name: CONSTRAINT show_seats_price_in_cents_check ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT show_seats_price_in_cents_check ON public.show_seats IS 'From nothing to a billion.';


--
-- Name: CONSTRAINT show_seats_reserved_by_check ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT show_seats_reserved_by_check ON public.show_seats IS 'Reserved exactly when it is known by whom and until when.';


--
-- Name: CONSTRAINT show_seats_reserved_until_check ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT show_seats_reserved_until_check ON public.show_seats IS 'Finite.';


--
-- Name: CONSTRAINT show_seats_status_check ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT show_seats_status_check ON public.show_seats IS 'The statuses there are.';


--
-- Name: ticket_order_audit_log; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ticket_order_audit_log (
    id bigint NOT NULL,
    order_id uuid,
    reservation_id uuid,
    show_id uuid NOT NULL,
    session_id text,
    old_status text,
    new_status text,
    amount_in_cents bigint,
    currency text,
    seat_count integer,
    payment_provider text,
    order_created_at timestamp with time zone,
    error_code text,
    error_message text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ticket_order_audit_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_order_audit_log_order_created_at_check CHECK (isfinite(order_created_at))
)
PARTITION BY RANGE (created_at);


--
-- Name: TABLE ticket_order_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ticket_order_audit_log IS 'Append-only log of orders, one month a partition: a row for each change of status and each refused call.';


--
-- Name: COLUMN ticket_order_audit_log.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.id IS 'Number of the row; gaps after a rollback are normal.';


--
-- Name: COLUMN ticket_order_audit_log.order_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.order_id IS 'The order; NULL where none came about.';


--
-- Name: COLUMN ticket_order_audit_log.reservation_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.reservation_id IS 'The reservation that it pays for.';


--
-- Name: COLUMN ticket_order_audit_log.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.show_id IS 'The show, or the nil UUID where the caller named none. No foreign key: nothing may delete from here.';


--
-- Name: COLUMN ticket_order_audit_log.session_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.session_id IS 'The session of the caller, where one was given, cut to 200 characters.';


--
-- Name: COLUMN ticket_order_audit_log.old_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.old_status IS 'Status before; NULL for a new order.';


--
-- Name: COLUMN ticket_order_audit_log.new_status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.new_status IS 'Status after; NULL where the call was refused.';


--
-- Name: COLUMN ticket_order_audit_log.amount_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.amount_in_cents IS 'The amount of the order, or the amount that was refused, in the minor unit of the currency.';


--
-- Name: COLUMN ticket_order_audit_log.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.currency IS 'ISO 4217 code.';


--
-- Name: COLUMN ticket_order_audit_log.seat_count; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.seat_count IS 'How many seats the order is about; NULL where a call was refused.';


--
-- Name: COLUMN ticket_order_audit_log.payment_provider; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.payment_provider IS 'Who takes the money.';


--
-- Name: COLUMN ticket_order_audit_log.order_created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.order_created_at IS 'When the order was created; NULL where a call was refused.';


--
-- Name: COLUMN ticket_order_audit_log.error_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.error_code IS 'Why a call was refused, as returned to the caller.';


--
-- Name: COLUMN ticket_order_audit_log.error_message; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.error_message IS 'Why a call was refused or a payment failed, in words.';


--
-- Name: COLUMN ticket_order_audit_log.metadata; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.metadata IS 'Further facts: function (which call was refused), event_id, sqlstate, detail.';


--
-- Name: COLUMN ticket_order_audit_log.xact_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.xact_id IS 'The transaction that wrote the row, for the exact rollup.';


--
-- Name: COLUMN ticket_order_audit_log.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_audit_log.created_at IS 'Start of the transaction that wrote the row; the partition key.';


--
-- Name: CONSTRAINT ticket_order_audit_log_created_at_check ON ticket_order_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_order_audit_log_created_at_check ON public.ticket_order_audit_log IS 'Finite.';


--
-- Name: CONSTRAINT ticket_order_audit_log_order_created_at_check ON ticket_order_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_order_audit_log_order_created_at_check ON public.ticket_order_audit_log IS 'Finite.';


--
-- Name: ticket_order_audit_log_default; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ticket_order_audit_log_default (
    id bigint NOT NULL,
    order_id uuid,
    reservation_id uuid,
    show_id uuid NOT NULL,
    session_id text,
    old_status text,
    new_status text,
    amount_in_cents bigint,
    currency text,
    seat_count integer,
    payment_provider text,
    order_created_at timestamp with time zone,
    error_code text,
    error_message text,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    xact_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT ticket_order_audit_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_order_audit_log_order_created_at_check CHECK (isfinite(order_created_at))
);


--
-- Name: TABLE ticket_order_audit_log_default; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ticket_order_audit_log_default IS 'Rows of ticket_order_audit_log that no month has a partition for: no event is ever lost.';


--
-- Name: ticket_order_audit_log_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.ticket_order_audit_log ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.ticket_order_audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: ticket_order_keys; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ticket_order_keys (
    idempotency_key text NOT NULL,
    show_id uuid NOT NULL,
    order_id uuid NOT NULL
);


--
-- Name: TABLE ticket_order_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ticket_order_keys IS 'Idempotency keys of create_ticket_order(), each with the one order that it names.';


--
-- Name: COLUMN ticket_order_keys.idempotency_key; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_keys.idempotency_key IS 'The caller''s name for an attempt to order.';


--
-- Name: COLUMN ticket_order_keys.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_keys.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN ticket_order_keys.order_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticket_order_keys.order_id IS 'The order that it names.';


--
-- Name: ticketdb_alembic_version; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ticketdb_alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: TABLE ticketdb_alembic_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ticketdb_alembic_version IS 'The revision that the database is at: one row, kept by alembic.';


--
-- Name: COLUMN ticketdb_alembic_version.version_num; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_alembic_version.version_num IS 'Revision id.';


--
-- Name: ticketdb_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.ticketdb_migrations (
    revision text NOT NULL,
    source_sha256 text NOT NULL,
    rendered_sha256 text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    applied_by text DEFAULT SESSION_USER NOT NULL,
    duration_seconds double precision NOT NULL,
    package_version text NOT NULL,
    variables jsonb NOT NULL,
    CONSTRAINT ticketdb_migrations_applied_at_check CHECK (isfinite(applied_at)),
    CONSTRAINT ticketdb_migrations_rendered_sha256_check CHECK ((rendered_sha256 ~ '^[0-9a-f]{64}$'::text)),
    CONSTRAINT ticketdb_migrations_source_sha256_check CHECK ((source_sha256 ~ '^[0-9a-f]{64}$'::text))
);


--
-- Name: TABLE ticketdb_migrations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.ticketdb_migrations IS 'Ledger of applied revisions: what ran, when, by whom, and the checksums that prove it.';


--
-- Name: COLUMN ticketdb_migrations.revision; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.revision IS 'Revision id, as in alembic.';


--
-- Name: COLUMN ticketdb_migrations.source_sha256; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.source_sha256 IS 'SHA-256 (hex) of the frozen template file.';


--
-- Name: COLUMN ticketdb_migrations.rendered_sha256; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.rendered_sha256 IS 'SHA-256 (hex) of the SQL that was sent, after the variables were filled in.';


--
-- Name: COLUMN ticketdb_migrations.applied_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.applied_at IS 'Start of the transaction that applied it.';


--
-- Name: COLUMN ticketdb_migrations.applied_by; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.applied_by IS 'The role that was logged in.';


--
-- Name: COLUMN ticketdb_migrations.duration_seconds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.duration_seconds IS 'How long its SQL ran, in seconds.';


--
-- Name: COLUMN ticketdb_migrations.package_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.package_version IS 'Version of the ticketdb package that ran it.';


--
-- Name: COLUMN ticketdb_migrations.variables; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.ticketdb_migrations.variables IS 'Template variables it was rendered with: names of schemas, roles and jobs.';


--
-- Name: CONSTRAINT ticketdb_migrations_applied_at_check ON ticketdb_migrations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketdb_migrations_applied_at_check ON public.ticketdb_migrations IS 'Finite.';


--
-- Name: CONSTRAINT ticketdb_migrations_rendered_sha256_check ON ticketdb_migrations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketdb_migrations_rendered_sha256_check ON public.ticketdb_migrations IS '64 hex digits.';


--
-- Name: CONSTRAINT ticketdb_migrations_source_sha256_check ON ticketdb_migrations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketdb_migrations_source_sha256_check ON public.ticketdb_migrations IS '64 hex digits.';


--
-- Name: tickets; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.tickets (
    id uuid DEFAULT public.uuid_v7() NOT NULL,
    show_id uuid NOT NULL,
    order_id uuid NOT NULL,
    show_seat_id uuid NOT NULL,
    price_in_cents bigint NOT NULL,
    currency text NOT NULL,
    ticket_code text DEFAULT upper(encode(uuid_send(gen_random_uuid()), 'hex'::text)) NOT NULL,
    status text DEFAULT 'valid'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT tickets_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT tickets_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT tickets_price_in_cents_check CHECK (((price_in_cents >= 0) AND (price_in_cents <= '100000000000'::bigint))),
    CONSTRAINT tickets_status_check CHECK ((status = ANY (ARRAY['valid'::text, 'cancelled'::text, 'refunded'::text]))),
    CONSTRAINT tickets_ticket_code_check CHECK (((length(ticket_code) >= 16) AND (length(ticket_code) <= 200)))
);


--
-- Name: TABLE tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TABLE public.tickets IS 'Tickets of paid orders, one a seat.';


--
-- Name: COLUMN tickets.id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.id IS 'Key, together with the show.';


--
-- Name: COLUMN tickets.show_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.show_id IS 'The show; distribution column.';


--
-- Name: COLUMN tickets.order_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.order_id IS 'The order that paid for it.';


--
-- Name: COLUMN tickets.show_seat_id; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.show_seat_id IS 'The seat.';


--
-- Name: COLUMN tickets.price_in_cents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.price_in_cents IS 'What was paid, in the minor unit of the currency.';


--
-- Name: COLUMN tickets.currency; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.currency IS 'ISO 4217 code.';


--
-- Name: COLUMN tickets.ticket_code; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.ticket_code IS 'Secret printed on the ticket, 122 random bits: whoever shows it gets in.';


--
-- Name: COLUMN tickets.status; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.status IS 'valid, cancelled by the house, or refunded.';


--
-- Name: COLUMN tickets.created_at; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON COLUMN public.tickets.created_at IS 'When it was issued.';


--
-- Name: CONSTRAINT tickets_created_at_check ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_created_at_check ON public.tickets IS 'Finite.';


--
-- Name: CONSTRAINT tickets_currency_check ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_currency_check ON public.tickets IS 'Three capital letters.';


--
-- Name: CONSTRAINT tickets_price_in_cents_check ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_price_in_cents_check ON public.tickets IS 'From nothing to a billion.';


--
-- Name: CONSTRAINT tickets_status_check ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_status_check ON public.tickets IS 'The statuses there are.';


--
-- Name: CONSTRAINT tickets_ticket_code_check ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_ticket_code_check ON public.tickets IS 'Long enough not to be guessed.';


--
-- Name: api_request_log_default; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_request_log ATTACH PARTITION public.api_request_log_default DEFAULT;


--
-- Name: change_log_default; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.change_log ATTACH PARTITION public.change_log_default DEFAULT;


--
-- Name: seat_reservation_audit_log_default; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.seat_reservation_audit_log ATTACH PARTITION public.seat_reservation_audit_log_default DEFAULT;


--
-- Name: ticket_order_audit_log_default; Type: TABLE ATTACH; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_order_audit_log ATTACH PARTITION public.ticket_order_audit_log_default DEFAULT;


--
-- Name: alert_rules alert_rules_pkey; Type: CONSTRAINT; Schema: monitoring; Owner: -
--

ALTER TABLE ONLY monitoring.alert_rules
    ADD CONSTRAINT alert_rules_pkey PRIMARY KEY (alert_name);


--
-- Name: CONSTRAINT alert_rules_pkey ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON CONSTRAINT alert_rules_pkey ON monitoring.alert_rules IS 'One row an alert.';


--
-- Name: api_duration_minutes api_duration_minutes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_duration_minutes
    ADD CONSTRAINT api_duration_minutes_pkey PRIMARY KEY (minute, endpoint, duration_bucket);


--
-- Name: CONSTRAINT api_duration_minutes_pkey ON api_duration_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_duration_minutes_pkey ON public.api_duration_minutes IS 'Rows are told apart.';


--
-- Name: api_request_log api_request_log_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_request_log
    ADD CONSTRAINT api_request_log_pkey PRIMARY KEY (id, created_at);


--
-- Name: CONSTRAINT api_request_log_pkey ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_log_pkey ON public.api_request_log IS 'Rows are told apart.';


--
-- Name: api_request_log_default api_request_log_default_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_request_log_default
    ADD CONSTRAINT api_request_log_default_pkey PRIMARY KEY (id, created_at);


--
-- Name: api_request_minutes api_request_minutes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.api_request_minutes
    ADD CONSTRAINT api_request_minutes_pkey PRIMARY KEY (minute, endpoint);


--
-- Name: CONSTRAINT api_request_minutes_pkey ON api_request_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT api_request_minutes_pkey ON public.api_request_minutes IS 'Rows are told apart.';


--
-- Name: change_log change_log_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.change_log
    ADD CONSTRAINT change_log_pkey PRIMARY KEY (id, created_at);


--
-- Name: CONSTRAINT change_log_pkey ON change_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT change_log_pkey ON public.change_log IS 'Rows are told apart.';


--
-- Name: change_log_default change_log_default_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.change_log_default
    ADD CONSTRAINT change_log_default_pkey PRIMARY KEY (id, created_at);


--
-- Name: currencies currencies_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.currencies
    ADD CONSTRAINT currencies_pkey PRIMARY KEY (code);


--
-- Name: CONSTRAINT currencies_pkey ON currencies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT currencies_pkey ON public.currencies IS 'A currency is listed once.';


--
-- Name: error_messages error_messages_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.error_messages
    ADD CONSTRAINT error_messages_pkey PRIMARY KEY (message_sha256);


--
-- Name: CONSTRAINT error_messages_pkey ON error_messages; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT error_messages_pkey ON public.error_messages IS 'Each message once.';


--
-- Name: error_minutes error_minutes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.error_minutes
    ADD CONSTRAINT error_minutes_pkey PRIMARY KEY (minute, message_sha256);


--
-- Name: CONSTRAINT error_minutes_pkey ON error_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT error_minutes_pkey ON public.error_minutes IS 'Rows are told apart.';


--
-- Name: extended_reservations extended_reservations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.extended_reservations
    ADD CONSTRAINT extended_reservations_pkey PRIMARY KEY (reservation_id, quarter);


--
-- Name: CONSTRAINT extended_reservations_pkey ON extended_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT extended_reservations_pkey ON public.extended_reservations IS 'Each is counted once a quarter.';


--
-- Name: extension_quarters extension_quarters_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.extension_quarters
    ADD CONSTRAINT extension_quarters_pkey PRIMARY KEY (quarter, previous_quarter);


--
-- Name: CONSTRAINT extension_quarters_pkey ON extension_quarters; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT extension_quarters_pkey ON public.extension_quarters IS 'Rows are told apart.';


--
-- Name: invariant_checks invariant_checks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.invariant_checks
    ADD CONSTRAINT invariant_checks_pkey PRIMARY KEY (invariant);


--
-- Name: CONSTRAINT invariant_checks_pkey ON invariant_checks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT invariant_checks_pkey ON public.invariant_checks IS 'One row an invariant.';


--
-- Name: metric_watermarks metric_watermarks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.metric_watermarks
    ADD CONSTRAINT metric_watermarks_pkey PRIMARY KEY (log);


--
-- Name: CONSTRAINT metric_watermarks_pkey ON metric_watermarks; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT metric_watermarks_pkey ON public.metric_watermarks IS 'One row a log.';


--
-- Name: order_minutes order_minutes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.order_minutes
    ADD CONSTRAINT order_minutes_pkey PRIMARY KEY (minute, currency);


--
-- Name: CONSTRAINT order_minutes_pkey ON order_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT order_minutes_pkey ON public.order_minutes IS 'Rows are told apart.';


--
-- Name: payment_events payment_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payment_events
    ADD CONSTRAINT payment_events_pkey PRIMARY KEY (provider, event_id, kind, order_id, show_id);


--
-- Name: CONSTRAINT payment_events_pkey ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_events_pkey ON public.payment_events IS 'An event is handled once for each order: one transfer may pay for two.';


--
-- Name: payment_intents payment_intents_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payment_intents
    ADD CONSTRAINT payment_intents_pkey PRIMARY KEY (payment_intent_id, payment_provider, order_id, show_id);


--
-- Name: CONSTRAINT payment_intents_pkey ON payment_intents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_intents_pkey ON public.payment_intents IS 'Remembered once for each order; serves the look-up by the provider''s id.';


--
-- Name: refunds refunds_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_pkey PRIMARY KEY (id, show_id);


--
-- Name: CONSTRAINT refunds_pkey ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_pkey ON public.refunds IS 'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';


--
-- Name: reservation_cleanup_lock reservation_cleanup_lock_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservation_cleanup_lock
    ADD CONSTRAINT reservation_cleanup_lock_pkey PRIMARY KEY (singleton);


--
-- Name: CONSTRAINT reservation_cleanup_lock_pkey ON reservation_cleanup_lock; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_lock_pkey ON public.reservation_cleanup_lock IS 'One row only.';


--
-- Name: reservation_cleanup_runs reservation_cleanup_runs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservation_cleanup_runs
    ADD CONSTRAINT reservation_cleanup_runs_pkey PRIMARY KEY (id);


--
-- Name: CONSTRAINT reservation_cleanup_runs_pkey ON reservation_cleanup_runs; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_cleanup_runs_pkey ON public.reservation_cleanup_runs IS 'Runs are told apart; the newest are found from its end.';


--
-- Name: reservation_minutes reservation_minutes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservation_minutes
    ADD CONSTRAINT reservation_minutes_pkey PRIMARY KEY (minute);


--
-- Name: CONSTRAINT reservation_minutes_pkey ON reservation_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_minutes_pkey ON public.reservation_minutes IS 'Rows are told apart.';


--
-- Name: reservation_seats reservation_seats_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservation_seats
    ADD CONSTRAINT reservation_seats_pkey PRIMARY KEY (reservation_id, show_seat_id, show_id);


--
-- Name: CONSTRAINT reservation_seats_pkey ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_seats_pkey ON public.reservation_seats IS 'A reservation claims a seat once; serves the seats of a reservation.';


--
-- Name: reservation_show_minutes reservation_show_minutes_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservation_show_minutes
    ADD CONSTRAINT reservation_show_minutes_pkey PRIMARY KEY (show_id, minute);


--
-- Name: CONSTRAINT reservation_show_minutes_pkey ON reservation_show_minutes; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_show_minutes_pkey ON public.reservation_show_minutes IS 'Rows are told apart.';


--
-- Name: seat_reservation_audit_log seat_reservation_audit_log_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.seat_reservation_audit_log
    ADD CONSTRAINT seat_reservation_audit_log_pkey PRIMARY KEY (id, show_id, created_at);


--
-- Name: CONSTRAINT seat_reservation_audit_log_pkey ON seat_reservation_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservation_audit_log_pkey ON public.seat_reservation_audit_log IS 'Rows are told apart.';


--
-- Name: seat_reservation_audit_log_default seat_reservation_audit_log_default_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.seat_reservation_audit_log_default
    ADD CONSTRAINT seat_reservation_audit_log_default_pkey PRIMARY KEY (id, show_id, created_at);


--
-- Name: seat_reservations seat_reservations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.seat_reservations
    ADD CONSTRAINT seat_reservations_pkey PRIMARY KEY (id, show_id);


--
-- Name: CONSTRAINT seat_reservations_pkey ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_pkey ON public.seat_reservations IS 'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';


--
-- Name: seat_reservations seat_reservations_reservation_token_show_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.seat_reservations
    ADD CONSTRAINT seat_reservations_reservation_token_show_id_key UNIQUE (reservation_token, show_id);


--
-- Name: CONSTRAINT seat_reservations_reservation_token_show_id_key ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_reservation_token_show_id_key ON public.seat_reservations IS 'Tokens are unique; serves the look-up by token.';


--
-- Name: show_seats show_seats_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.show_seats
    ADD CONSTRAINT show_seats_pkey PRIMARY KEY (id, show_id);


--
-- Name: CONSTRAINT show_seats_pkey ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT show_seats_pkey ON public.show_seats IS 'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';


--
-- Name: show_seats show_seats_show_id_section_row_label_seat_number_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.show_seats
    ADD CONSTRAINT show_seats_show_id_section_row_label_seat_number_key UNIQUE (show_id, section, row_label, seat_number);


--
-- Name: CONSTRAINT show_seats_show_id_section_row_label_seat_number_key ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT show_seats_show_id_section_row_label_seat_number_key ON public.show_seats IS 'A seat is listed once; also serves the seat map of a show.';


--
-- Name: shows shows_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shows
    ADD CONSTRAINT shows_pkey PRIMARY KEY (id);


--
-- Name: CONSTRAINT shows_pkey ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_pkey ON public.shows IS 'One row a show.';


--
-- Name: ticket_order_audit_log ticket_order_audit_log_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_order_audit_log
    ADD CONSTRAINT ticket_order_audit_log_pkey PRIMARY KEY (id, show_id, created_at);


--
-- Name: CONSTRAINT ticket_order_audit_log_pkey ON ticket_order_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_order_audit_log_pkey ON public.ticket_order_audit_log IS 'Rows are told apart.';


--
-- Name: ticket_order_audit_log_default ticket_order_audit_log_default_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_order_audit_log_default
    ADD CONSTRAINT ticket_order_audit_log_default_pkey PRIMARY KEY (id, show_id, created_at);


--
-- Name: ticket_order_keys ticket_order_keys_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_order_keys
    ADD CONSTRAINT ticket_order_keys_pkey PRIMARY KEY (idempotency_key, show_id);


--
-- Name: CONSTRAINT ticket_order_keys_pkey ON ticket_order_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_order_keys_pkey ON public.ticket_order_keys IS 'A key names one order within a show.';


--
-- Name: ticket_orders ticket_orders_idempotency_key_show_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_orders
    ADD CONSTRAINT ticket_orders_idempotency_key_show_id_key UNIQUE (idempotency_key, show_id);


--
-- Name: CONSTRAINT ticket_orders_idempotency_key_show_id_key ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_idempotency_key_show_id_key ON public.ticket_orders IS 'A key is used once within a show.';


--
-- Name: ticket_orders ticket_orders_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_orders
    ADD CONSTRAINT ticket_orders_pkey PRIMARY KEY (id, show_id);


--
-- Name: CONSTRAINT ticket_orders_pkey ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_pkey ON public.ticket_orders IS 'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';


--
-- Name: ticketdb_alembic_version ticketdb_alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticketdb_alembic_version
    ADD CONSTRAINT ticketdb_alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: CONSTRAINT ticketdb_alembic_version_pkc ON ticketdb_alembic_version; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketdb_alembic_version_pkc ON public.ticketdb_alembic_version IS 'A revision is reached once.';


--
-- Name: ticketdb_migrations ticketdb_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticketdb_migrations
    ADD CONSTRAINT ticketdb_migrations_pkey PRIMARY KEY (revision);


--
-- Name: CONSTRAINT ticketdb_migrations_pkey ON ticketdb_migrations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketdb_migrations_pkey ON public.ticketdb_migrations IS 'A revision is applied once.';


--
-- Name: ticketing_settings ticketing_settings_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticketing_settings
    ADD CONSTRAINT ticketing_settings_pkey PRIMARY KEY (singleton);


--
-- Name: CONSTRAINT ticketing_settings_pkey ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticketing_settings_pkey ON public.ticketing_settings IS 'One row only.';


--
-- Name: tickets tickets_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_pkey PRIMARY KEY (id, show_id);


--
-- Name: CONSTRAINT tickets_pkey ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_pkey ON public.tickets IS 'The id leads and serves look-ups by id alone; the show makes references across shows impossible.';


--
-- Name: tickets tickets_ticket_code_show_id_key; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_ticket_code_show_id_key UNIQUE (ticket_code, show_id);


--
-- Name: CONSTRAINT tickets_ticket_code_show_id_key ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_ticket_code_show_id_key ON public.tickets IS 'Codes are unique; serves the look-up at the door.';


--
-- Name: api_request_log_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX api_request_log_created_at_idx ON ONLY public.api_request_log USING brin (created_at) WITH (autosummarize='on');


--
-- Name: INDEX api_request_log_created_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.api_request_log_created_at_idx IS 'Serves windows of time.';


--
-- Name: api_request_log_default_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX api_request_log_default_created_at_idx ON public.api_request_log_default USING brin (created_at) WITH (autosummarize='on');


--
-- Name: api_request_log_xact_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX api_request_log_xact_id_idx ON ONLY public.api_request_log USING btree (xact_id);


--
-- Name: INDEX api_request_log_xact_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.api_request_log_xact_id_idx IS 'Serves the rollup, and those who read what is not rolled up yet.';


--
-- Name: api_request_log_default_xact_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX api_request_log_default_xact_id_idx ON public.api_request_log_default USING btree (xact_id);


--
-- Name: change_log_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX change_log_created_at_idx ON ONLY public.change_log USING brin (created_at) WITH (autosummarize='on');


--
-- Name: INDEX change_log_created_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.change_log_created_at_idx IS 'Serves windows of time.';


--
-- Name: change_log_default_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX change_log_default_created_at_idx ON public.change_log_default USING brin (created_at) WITH (autosummarize='on');


--
-- Name: error_minutes_message_sha256_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX error_minutes_message_sha256_idx ON public.error_minutes USING btree (message_sha256);


--
-- Name: INDEX error_minutes_message_sha256_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.error_minutes_message_sha256_idx IS 'Serves purge_history().';


--
-- Name: extended_reservations_quarter_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX extended_reservations_quarter_idx ON public.extended_reservations USING brin (quarter);


--
-- Name: INDEX extended_reservations_quarter_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.extended_reservations_quarter_idx IS 'Serves purge_history().';


--
-- Name: payment_events_order_id_show_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payment_events_order_id_show_id_idx ON public.payment_events USING btree (order_id, show_id);


--
-- Name: INDEX payment_events_order_id_show_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payment_events_order_id_show_id_idx IS 'Serves the events of an order.';


--
-- Name: payment_intents_order_id_show_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX payment_intents_order_id_show_id_idx ON public.payment_intents USING btree (order_id, show_id);


--
-- Name: INDEX payment_intents_order_id_show_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.payment_intents_order_id_show_id_idx IS 'Serves the payments of an order.';


--
-- Name: refunds_order_id_show_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX refunds_order_id_show_id_idx ON public.refunds USING btree (order_id, show_id);


--
-- Name: INDEX refunds_order_id_show_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.refunds_order_id_show_id_idx IS 'Serves the refunds of an order.';


--
-- Name: refunds_reason_currency_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX refunds_reason_currency_created_at_idx ON public.refunds USING btree (reason, currency, created_at) WHERE (status = 'due'::text);


--
-- Name: INDEX refunds_reason_currency_created_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.refunds_reason_currency_created_at_idx IS 'Serves what is due, by reason and currency, and the oldest of it.';


--
-- Name: reservation_cleanup_runs_finished_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reservation_cleanup_runs_finished_at_idx ON public.reservation_cleanup_runs USING btree (finished_at);


--
-- Name: INDEX reservation_cleanup_runs_finished_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.reservation_cleanup_runs_finished_at_idx IS 'Serves the runs of a window, those that have not ended, and the purge.';


--
-- Name: reservation_cleanup_runs_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reservation_cleanup_runs_id_idx ON public.reservation_cleanup_runs USING btree (id) WHERE (status = ANY (ARRAY['succeeded'::text, 'failed'::text]));


--
-- Name: INDEX reservation_cleanup_runs_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.reservation_cleanup_runs_id_idx IS 'Serves the last run that did something, however many were skipped since.';


--
-- Name: reservation_seats_no_double_booking; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX reservation_seats_no_double_booking ON public.reservation_seats USING btree (show_id, show_seat_id) WHERE (released_at IS NULL);


--
-- Name: INDEX reservation_seats_no_double_booking; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.reservation_seats_no_double_booking IS 'At most one live claim a seat, whatever the code above it does: a seat cannot be held or sold twice.';


--
-- Name: reservation_seats_show_seat_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX reservation_seats_show_seat_id_idx ON public.reservation_seats USING btree (show_seat_id);


--
-- Name: INDEX reservation_seats_show_seat_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.reservation_seats_show_seat_id_idx IS 'Serves the deletion of seats, and the question who has ever held one.';


--
-- Name: seat_reservation_audit_log_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX seat_reservation_audit_log_created_at_idx ON ONLY public.seat_reservation_audit_log USING brin (created_at) WITH (autosummarize='on');


--
-- Name: INDEX seat_reservation_audit_log_created_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.seat_reservation_audit_log_created_at_idx IS 'Serves windows of time.';


--
-- Name: seat_reservation_audit_log_default_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX seat_reservation_audit_log_default_created_at_idx ON public.seat_reservation_audit_log_default USING brin (created_at) WITH (autosummarize='on');


--
-- Name: seat_reservation_audit_log_xact_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX seat_reservation_audit_log_xact_id_idx ON ONLY public.seat_reservation_audit_log USING btree (xact_id);


--
-- Name: INDEX seat_reservation_audit_log_xact_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.seat_reservation_audit_log_xact_id_idx IS 'Serves the rollup, and those who read what is not rolled up yet.';


--
-- Name: seat_reservation_audit_log_default_xact_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX seat_reservation_audit_log_default_xact_id_idx ON public.seat_reservation_audit_log_default USING btree (xact_id);


--
-- Name: seat_reservations_ended_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX seat_reservations_ended_at_idx ON public.seat_reservations USING btree (ended_at) WHERE ((ended_at IS NOT NULL) AND ((user_id IS NOT NULL) OR (email IS NOT NULL) OR (user_agent IS NOT NULL) OR (ip_address IS NOT NULL)));


--
-- Name: INDEX seat_reservations_ended_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.seat_reservations_ended_at_idx IS 'Serves the purge of personal data: holds that have ended and still have any.';


--
-- Name: seat_reservations_expires_at_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX seat_reservations_expires_at_id_idx ON public.seat_reservations USING btree (expires_at, id) WHERE is_active;


--
-- Name: INDEX seat_reservations_expires_at_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.seat_reservations_expires_at_id_idx IS 'Serves cleanup and the count of active holds; as large as there are active holds.';


--
-- Name: seat_reservations_one_active_per_session; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX seat_reservations_one_active_per_session ON public.seat_reservations USING btree (show_id, session_id) WHERE (status = 'active'::text);


--
-- Name: INDEX seat_reservations_one_active_per_session; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.seat_reservations_one_active_per_session IS 'At most one active hold per show and session.';


--
-- Name: shows_currency_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX shows_currency_idx ON public.shows USING btree (currency);


--
-- Name: INDEX shows_currency_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.shows_currency_idx IS 'Serves the dashboards, which ask what currencies there are, and the deletion of one.';


--
-- Name: ticket_order_audit_log_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_order_audit_log_created_at_idx ON ONLY public.ticket_order_audit_log USING brin (created_at) WITH (autosummarize='on');


--
-- Name: INDEX ticket_order_audit_log_created_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_order_audit_log_created_at_idx IS 'Serves windows of time.';


--
-- Name: ticket_order_audit_log_default_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_order_audit_log_default_created_at_idx ON public.ticket_order_audit_log_default USING brin (created_at) WITH (autosummarize='on');


--
-- Name: ticket_order_audit_log_xact_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_order_audit_log_xact_id_idx ON ONLY public.ticket_order_audit_log USING btree (xact_id);


--
-- Name: INDEX ticket_order_audit_log_xact_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_order_audit_log_xact_id_idx IS 'Serves the rollup, and those who read what is not rolled up yet.';


--
-- Name: ticket_order_audit_log_default_xact_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_order_audit_log_default_xact_id_idx ON public.ticket_order_audit_log_default USING btree (xact_id);


--
-- Name: ticket_order_keys_order_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_order_keys_order_id_idx ON public.ticket_order_keys USING btree (order_id);


--
-- Name: INDEX ticket_order_keys_order_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_order_keys_order_id_idx IS 'Serves the keys of an order.';


--
-- Name: ticket_orders_created_at_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_orders_created_at_id_idx ON public.ticket_orders USING btree (created_at, id) WHERE (status = 'pending'::text);


--
-- Name: INDEX ticket_orders_created_at_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_orders_created_at_id_idx IS 'Serves the cleanup: orders that wait for a payment.';


--
-- Name: ticket_orders_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_orders_created_at_idx ON public.ticket_orders USING btree (created_at);


--
-- Name: INDEX ticket_orders_created_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_orders_created_at_idx IS 'Serves payment metrics of the last hours.';


--
-- Name: ticket_orders_created_at_refunded_amount_in_cents_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_orders_created_at_refunded_amount_in_cents_idx ON public.ticket_orders USING btree (created_at, refunded_amount_in_cents) WHERE ((status = 'paid'::text) AND (refunded_amount_in_cents > 0));


--
-- Name: INDEX ticket_orders_created_at_refunded_amount_in_cents_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_orders_created_at_refunded_amount_in_cents_idx IS 'Serves the revenue of a day, less what was given back.';


--
-- Name: ticket_orders_created_at_show_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_orders_created_at_show_id_idx ON public.ticket_orders USING btree (created_at, show_id) WHERE (error_message IS NOT NULL);


--
-- Name: INDEX ticket_orders_created_at_show_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_orders_created_at_show_id_idx IS 'Serves the purge of personal data: orders with words of a provider.';


--
-- Name: ticket_orders_one_open_per_reservation; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX ticket_orders_one_open_per_reservation ON public.ticket_orders USING btree (reservation_id, show_id) WHERE (status = ANY (ARRAY['pending'::text, 'paid'::text]));


--
-- Name: INDEX ticket_orders_one_open_per_reservation; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_orders_one_open_per_reservation IS 'A reservation is paid for by one order at a time.';


--
-- Name: ticket_orders_reservation_id_show_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX ticket_orders_reservation_id_show_id_idx ON public.ticket_orders USING btree (reservation_id, show_id);


--
-- Name: INDEX ticket_orders_reservation_id_show_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.ticket_orders_reservation_id_show_id_idx IS 'Serves all orders of a reservation, when seats are given back or one of them is paid.';


--
-- Name: tickets_created_at_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tickets_created_at_idx ON public.tickets USING btree (created_at);


--
-- Name: INDEX tickets_created_at_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.tickets_created_at_idx IS 'Serves sales of the day.';


--
-- Name: tickets_one_valid_per_seat; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX tickets_one_valid_per_seat ON public.tickets USING btree (show_seat_id, show_id) WHERE (status = 'valid'::text);


--
-- Name: INDEX tickets_one_valid_per_seat; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.tickets_one_valid_per_seat IS 'At most one valid ticket a seat, whatever the code above it does.';


--
-- Name: tickets_order_id_show_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tickets_order_id_show_id_idx ON public.tickets USING btree (order_id, show_id);


--
-- Name: INDEX tickets_order_id_show_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.tickets_order_id_show_id_idx IS 'Serves the tickets of an order.';


--
-- Name: tickets_show_seat_id_idx; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX tickets_show_seat_id_idx ON public.tickets USING btree (show_seat_id);


--
-- Name: INDEX tickets_show_seat_id_idx; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON INDEX public.tickets_show_seat_id_idx IS 'Serves the deletion of seats, and the question who has ever had one.';


--
-- Name: api_request_log_default_created_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.api_request_log_created_at_idx ATTACH PARTITION public.api_request_log_default_created_at_idx;


--
-- Name: api_request_log_default_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.api_request_log_pkey ATTACH PARTITION public.api_request_log_default_pkey;


--
-- Name: api_request_log_default_xact_id_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.api_request_log_xact_id_idx ATTACH PARTITION public.api_request_log_default_xact_id_idx;


--
-- Name: change_log_default_created_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.change_log_created_at_idx ATTACH PARTITION public.change_log_default_created_at_idx;


--
-- Name: change_log_default_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.change_log_pkey ATTACH PARTITION public.change_log_default_pkey;


--
-- Name: seat_reservation_audit_log_default_created_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.seat_reservation_audit_log_created_at_idx ATTACH PARTITION public.seat_reservation_audit_log_default_created_at_idx;


--
-- Name: seat_reservation_audit_log_default_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.seat_reservation_audit_log_pkey ATTACH PARTITION public.seat_reservation_audit_log_default_pkey;


--
-- Name: seat_reservation_audit_log_default_xact_id_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.seat_reservation_audit_log_xact_id_idx ATTACH PARTITION public.seat_reservation_audit_log_default_xact_id_idx;


--
-- Name: ticket_order_audit_log_default_created_at_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.ticket_order_audit_log_created_at_idx ATTACH PARTITION public.ticket_order_audit_log_default_created_at_idx;


--
-- Name: ticket_order_audit_log_default_pkey; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.ticket_order_audit_log_pkey ATTACH PARTITION public.ticket_order_audit_log_default_pkey;


--
-- Name: ticket_order_audit_log_default_xact_id_idx; Type: INDEX ATTACH; Schema: public; Owner: -
--

ALTER INDEX public.ticket_order_audit_log_xact_id_idx ATTACH PARTITION public.ticket_order_audit_log_default_xact_id_idx;


--
-- Name: alert_rules alert_rules_change_log_delete; Type: TRIGGER; Schema: monitoring; Owner: -
--

CREATE TRIGGER alert_rules_change_log_delete AFTER DELETE ON monitoring.alert_rules FOR EACH ROW EXECUTE FUNCTION public.log_change('alert_name');

ALTER TABLE monitoring.alert_rules ENABLE ALWAYS TRIGGER alert_rules_change_log_delete;


--
-- Name: TRIGGER alert_rules_change_log_delete ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON TRIGGER alert_rules_change_log_delete ON monitoring.alert_rules IS 'Logs each rule that is deleted.';


--
-- Name: alert_rules alert_rules_change_log_insert; Type: TRIGGER; Schema: monitoring; Owner: -
--

CREATE TRIGGER alert_rules_change_log_insert AFTER INSERT ON monitoring.alert_rules FOR EACH ROW EXECUTE FUNCTION public.log_change('alert_name');

ALTER TABLE monitoring.alert_rules ENABLE ALWAYS TRIGGER alert_rules_change_log_insert;


--
-- Name: TRIGGER alert_rules_change_log_insert ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON TRIGGER alert_rules_change_log_insert ON monitoring.alert_rules IS 'Logs each rule that is added by hand.';


--
-- Name: alert_rules alert_rules_change_log_update; Type: TRIGGER; Schema: monitoring; Owner: -
--

CREATE TRIGGER alert_rules_change_log_update AFTER UPDATE ON monitoring.alert_rules FOR EACH ROW EXECUTE FUNCTION public.log_change('alert_name');

ALTER TABLE monitoring.alert_rules ENABLE ALWAYS TRIGGER alert_rules_change_log_update;


--
-- Name: TRIGGER alert_rules_change_log_update ON alert_rules; Type: COMMENT; Schema: monitoring; Owner: -
--

COMMENT ON TRIGGER alert_rules_change_log_update ON monitoring.alert_rules IS 'Logs each change of a rule.';


--
-- Name: api_request_log api_request_log_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER api_request_log_append_only BEFORE DELETE OR UPDATE ON public.api_request_log FOR EACH ROW EXECUTE FUNCTION public.refuse_change('The log is append-only: add a row that corrects it.');

ALTER TABLE public.api_request_log ENABLE ALWAYS TRIGGER api_request_log_append_only;


--
-- Name: TRIGGER api_request_log_append_only ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER api_request_log_append_only ON public.api_request_log IS 'Refuses UPDATE and DELETE.';


--
-- Name: api_request_log api_request_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER api_request_log_no_truncate BEFORE TRUNCATE ON public.api_request_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.api_request_log ENABLE ALWAYS TRIGGER api_request_log_no_truncate;


--
-- Name: TRIGGER api_request_log_no_truncate ON api_request_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER api_request_log_no_truncate ON public.api_request_log IS 'Refuses TRUNCATE.';


--
-- Name: api_request_log_default api_request_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER api_request_log_no_truncate BEFORE TRUNCATE ON public.api_request_log_default FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.api_request_log_default ENABLE ALWAYS TRIGGER api_request_log_no_truncate;


--
-- Name: change_log change_log_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER change_log_append_only BEFORE DELETE OR UPDATE ON public.change_log FOR EACH ROW EXECUTE FUNCTION public.refuse_change('The log is append-only: add a row that corrects it.');

ALTER TABLE public.change_log ENABLE ALWAYS TRIGGER change_log_append_only;


--
-- Name: TRIGGER change_log_append_only ON change_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER change_log_append_only ON public.change_log IS 'Refuses UPDATE and DELETE.';


--
-- Name: change_log change_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER change_log_no_truncate BEFORE TRUNCATE ON public.change_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.change_log ENABLE ALWAYS TRIGGER change_log_no_truncate;


--
-- Name: TRIGGER change_log_no_truncate ON change_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER change_log_no_truncate ON public.change_log IS 'Refuses TRUNCATE.';


--
-- Name: change_log_default change_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER change_log_no_truncate BEFORE TRUNCATE ON public.change_log_default FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.change_log_default ENABLE ALWAYS TRIGGER change_log_no_truncate;


--
-- Name: currencies currencies_change_log_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER currencies_change_log_delete AFTER DELETE ON public.currencies FOR EACH ROW EXECUTE FUNCTION public.log_change('code');

ALTER TABLE public.currencies ENABLE ALWAYS TRIGGER currencies_change_log_delete;


--
-- Name: TRIGGER currencies_change_log_delete ON currencies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER currencies_change_log_delete ON public.currencies IS 'Logs each currency that is deleted.';


--
-- Name: currencies currencies_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER currencies_change_log_insert AFTER INSERT ON public.currencies FOR EACH ROW EXECUTE FUNCTION public.log_change('code');

ALTER TABLE public.currencies ENABLE ALWAYS TRIGGER currencies_change_log_insert;


--
-- Name: TRIGGER currencies_change_log_insert ON currencies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER currencies_change_log_insert ON public.currencies IS 'Logs each currency that is added by hand.';


--
-- Name: currencies currencies_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER currencies_change_log_update AFTER UPDATE ON public.currencies FOR EACH ROW EXECUTE FUNCTION public.log_change('code');

ALTER TABLE public.currencies ENABLE ALWAYS TRIGGER currencies_change_log_update;


--
-- Name: TRIGGER currencies_change_log_update ON currencies; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER currencies_change_log_update ON public.currencies IS 'Logs each change of a currency.';


--
-- Name: payment_events payment_events_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_events_append_only BEFORE DELETE OR UPDATE ON public.payment_events FOR EACH ROW EXECUTE FUNCTION public.refuse_change('What a provider has reported stays on record.');

ALTER TABLE public.payment_events ENABLE ALWAYS TRIGGER payment_events_append_only;


--
-- Name: TRIGGER payment_events_append_only ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_events_append_only ON public.payment_events IS 'Refuses UPDATE and DELETE.';


--
-- Name: payment_events payment_events_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_events_change_log_insert AFTER INSERT ON public.payment_events FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('provider,event_id,kind,order_id,show_id', 'error_message');

ALTER TABLE public.payment_events ENABLE ALWAYS TRIGGER payment_events_change_log_insert;


--
-- Name: TRIGGER payment_events_change_log_insert ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_events_change_log_insert ON public.payment_events IS 'Logs each event that is added by hand.';


--
-- Name: payment_events payment_events_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_events_no_truncate BEFORE TRUNCATE ON public.payment_events FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('What a provider has reported stays on record.');

ALTER TABLE public.payment_events ENABLE ALWAYS TRIGGER payment_events_no_truncate;


--
-- Name: TRIGGER payment_events_no_truncate ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_events_no_truncate ON public.payment_events IS 'Refuses TRUNCATE.';


--
-- Name: payment_intents payment_intents_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_intents_change_log_insert AFTER INSERT ON public.payment_intents FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('payment_intent_id,payment_provider,order_id,show_id');

ALTER TABLE public.payment_intents ENABLE ALWAYS TRIGGER payment_intents_change_log_insert;


--
-- Name: TRIGGER payment_intents_change_log_insert ON payment_intents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_intents_change_log_insert ON public.payment_intents IS 'Logs each payment that is added by hand.';


--
-- Name: payment_intents payment_intents_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_intents_change_log_update AFTER UPDATE ON public.payment_intents FOR EACH ROW EXECUTE FUNCTION public.log_change('payment_intent_id,payment_provider,order_id,show_id');

ALTER TABLE public.payment_intents ENABLE ALWAYS TRIGGER payment_intents_change_log_update;


--
-- Name: TRIGGER payment_intents_change_log_update ON payment_intents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_intents_change_log_update ON public.payment_intents IS 'Logs each change of a payment.';


--
-- Name: payment_intents payment_intents_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER payment_intents_keep_rows BEFORE DELETE OR TRUNCATE ON public.payment_intents FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('Money may still come from it.');

ALTER TABLE public.payment_intents ENABLE ALWAYS TRIGGER payment_intents_keep_rows;


--
-- Name: TRIGGER payment_intents_keep_rows ON payment_intents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER payment_intents_keep_rows ON public.payment_intents IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: refunds refunds_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_change_log_insert AFTER INSERT ON public.refunds FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id');

ALTER TABLE public.refunds ENABLE ALWAYS TRIGGER refunds_change_log_insert;


--
-- Name: TRIGGER refunds_change_log_insert ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_change_log_insert ON public.refunds IS 'Logs each refund that is added by hand.';


--
-- Name: refunds refunds_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_change_log_update AFTER UPDATE OF id, show_id, order_id, ticket_ids, amount_in_cents, currency, reason, payment_provider, payment_event_id, created_at ON public.refunds FOR EACH ROW EXECUTE FUNCTION public.log_change('id,show_id');

ALTER TABLE public.refunds ENABLE ALWAYS TRIGGER refunds_change_log_update;


--
-- Name: TRIGGER refunds_change_log_update ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_change_log_update ON public.refunds IS 'Logs each change of what a refund was made of.';


--
-- Name: refunds refunds_change_log_update_by_hand; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_change_log_update_by_hand AFTER UPDATE OF status, done_at ON public.refunds FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id');

ALTER TABLE public.refunds ENABLE ALWAYS TRIGGER refunds_change_log_update_by_hand;


--
-- Name: TRIGGER refunds_change_log_update_by_hand ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_change_log_update_by_hand ON public.refunds IS 'Logs each change of the state of a refund that none of our functions makes.';


--
-- Name: refunds refunds_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER refunds_keep_rows BEFORE DELETE OR TRUNCATE ON public.refunds FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('A refund is done, never deleted.');

ALTER TABLE public.refunds ENABLE ALWAYS TRIGGER refunds_keep_rows;


--
-- Name: TRIGGER refunds_keep_rows ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER refunds_keep_rows ON public.refunds IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: reservation_cleanup_lock reservation_cleanup_lock_keep_row; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reservation_cleanup_lock_keep_row BEFORE DELETE OR TRUNCATE ON public.reservation_cleanup_lock FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('The cleanup locks this row.');


--
-- Name: TRIGGER reservation_cleanup_lock_keep_row ON reservation_cleanup_lock; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reservation_cleanup_lock_keep_row ON public.reservation_cleanup_lock IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: reservation_seats reservation_seats_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reservation_seats_change_log_insert AFTER INSERT ON public.reservation_seats FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('reservation_id,show_seat_id,show_id');

ALTER TABLE public.reservation_seats ENABLE ALWAYS TRIGGER reservation_seats_change_log_insert;


--
-- Name: TRIGGER reservation_seats_change_log_insert ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reservation_seats_change_log_insert ON public.reservation_seats IS 'Logs each claim that is added by hand.';


--
-- Name: reservation_seats reservation_seats_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reservation_seats_change_log_update AFTER UPDATE OF reservation_id, show_seat_id, show_id, price_in_cents, currency ON public.reservation_seats FOR EACH ROW EXECUTE FUNCTION public.log_change('reservation_id,show_seat_id,show_id');

ALTER TABLE public.reservation_seats ENABLE ALWAYS TRIGGER reservation_seats_change_log_update;


--
-- Name: TRIGGER reservation_seats_change_log_update ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reservation_seats_change_log_update ON public.reservation_seats IS 'Logs each change of what a claim was made of.';


--
-- Name: reservation_seats reservation_seats_change_log_update_by_hand; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reservation_seats_change_log_update_by_hand AFTER UPDATE OF released_at ON public.reservation_seats FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('reservation_id,show_seat_id,show_id');

ALTER TABLE public.reservation_seats ENABLE ALWAYS TRIGGER reservation_seats_change_log_update_by_hand;


--
-- Name: TRIGGER reservation_seats_change_log_update_by_hand ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reservation_seats_change_log_update_by_hand ON public.reservation_seats IS 'Logs each change of the state of a claim that none of our functions makes.';


--
-- Name: reservation_seats reservation_seats_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER reservation_seats_keep_rows BEFORE DELETE OR TRUNCATE ON public.reservation_seats FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('A claim is released, never deleted.');

ALTER TABLE public.reservation_seats ENABLE ALWAYS TRIGGER reservation_seats_keep_rows;


--
-- Name: TRIGGER reservation_seats_keep_rows ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER reservation_seats_keep_rows ON public.reservation_seats IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: seat_reservation_audit_log seat_reservation_audit_log_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservation_audit_log_append_only BEFORE DELETE OR UPDATE ON public.seat_reservation_audit_log FOR EACH ROW EXECUTE FUNCTION public.refuse_change('The log is append-only: add a row that corrects it.');

ALTER TABLE public.seat_reservation_audit_log ENABLE ALWAYS TRIGGER seat_reservation_audit_log_append_only;


--
-- Name: TRIGGER seat_reservation_audit_log_append_only ON seat_reservation_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservation_audit_log_append_only ON public.seat_reservation_audit_log IS 'Refuses UPDATE and DELETE.';


--
-- Name: seat_reservation_audit_log seat_reservation_audit_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservation_audit_log_no_truncate BEFORE TRUNCATE ON public.seat_reservation_audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.seat_reservation_audit_log ENABLE ALWAYS TRIGGER seat_reservation_audit_log_no_truncate;


--
-- Name: TRIGGER seat_reservation_audit_log_no_truncate ON seat_reservation_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservation_audit_log_no_truncate ON public.seat_reservation_audit_log IS 'Refuses TRUNCATE.';


--
-- Name: seat_reservation_audit_log_default seat_reservation_audit_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservation_audit_log_no_truncate BEFORE TRUNCATE ON public.seat_reservation_audit_log_default FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.seat_reservation_audit_log_default ENABLE ALWAYS TRIGGER seat_reservation_audit_log_no_truncate;


--
-- Name: seat_reservations seat_reservations_audit_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservations_audit_insert AFTER INSERT ON public.seat_reservations FOR EACH ROW EXECUTE FUNCTION public.audit_seat_reservation();

ALTER TABLE public.seat_reservations ENABLE ALWAYS TRIGGER seat_reservations_audit_insert;


--
-- Name: TRIGGER seat_reservations_audit_insert ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservations_audit_insert ON public.seat_reservations IS 'Logs each new hold.';


--
-- Name: seat_reservations seat_reservations_audit_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservations_audit_update AFTER UPDATE ON public.seat_reservations FOR EACH ROW WHEN (((old.status IS DISTINCT FROM new.status) OR (old.extension_count IS DISTINCT FROM new.extension_count))) EXECUTE FUNCTION public.audit_seat_reservation();

ALTER TABLE public.seat_reservations ENABLE ALWAYS TRIGGER seat_reservations_audit_update;


--
-- Name: TRIGGER seat_reservations_audit_update ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservations_audit_update ON public.seat_reservations IS 'Logs how a hold is extended and how it ends.';


--
-- Name: seat_reservations seat_reservations_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservations_change_log_update AFTER UPDATE OF id, show_id, reservation_token, created_at ON public.seat_reservations FOR EACH ROW EXECUTE FUNCTION public.log_change('id,show_id', 'reservation_token,session_id,user_id,email,user_agent,ip_address');

ALTER TABLE public.seat_reservations ENABLE ALWAYS TRIGGER seat_reservations_change_log_update;


--
-- Name: TRIGGER seat_reservations_change_log_update ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservations_change_log_update ON public.seat_reservations IS 'Logs each change of what a hold was made of.';


--
-- Name: seat_reservations seat_reservations_change_log_update_by_hand; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservations_change_log_update_by_hand AFTER UPDATE OF session_id, user_id, email, user_agent, ip_address, status, expires_at, extension_count, ended_at ON public.seat_reservations FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id', 'reservation_token,session_id,user_id,email,user_agent,ip_address');

ALTER TABLE public.seat_reservations ENABLE ALWAYS TRIGGER seat_reservations_change_log_update_by_hand;


--
-- Name: TRIGGER seat_reservations_change_log_update_by_hand ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservations_change_log_update_by_hand ON public.seat_reservations IS 'Logs each change of the state of a hold that none of our functions makes.';


--
-- Name: seat_reservations seat_reservations_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservations_keep_rows BEFORE DELETE OR TRUNCATE ON public.seat_reservations FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('A hold is released, never deleted; its personal columns may be emptied.');

ALTER TABLE public.seat_reservations ENABLE ALWAYS TRIGGER seat_reservations_keep_rows;


--
-- Name: TRIGGER seat_reservations_keep_rows ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservations_keep_rows ON public.seat_reservations IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: seat_reservations seat_reservations_sync_reserved_until; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER seat_reservations_sync_reserved_until AFTER UPDATE OF expires_at ON public.seat_reservations FOR EACH ROW WHEN (((new.status = 'active'::text) AND (old.expires_at IS DISTINCT FROM new.expires_at))) EXECUTE FUNCTION public.sync_reserved_until();

ALTER TABLE public.seat_reservations ENABLE ALWAYS TRIGGER seat_reservations_sync_reserved_until;


--
-- Name: TRIGGER seat_reservations_sync_reserved_until ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER seat_reservations_sync_reserved_until ON public.seat_reservations IS 'Keeps show_seats.reserved_until equal to the expires_at of the hold.';


--
-- Name: show_seats show_seats_change_log_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER show_seats_change_log_delete AFTER DELETE ON public.show_seats FOR EACH ROW EXECUTE FUNCTION public.log_change('id,show_id');

ALTER TABLE public.show_seats ENABLE ALWAYS TRIGGER show_seats_change_log_delete;


--
-- Name: TRIGGER show_seats_change_log_delete ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER show_seats_change_log_delete ON public.show_seats IS 'Logs each seat that is deleted; one that anything refers to cannot be.';


--
-- Name: show_seats show_seats_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER show_seats_change_log_insert AFTER INSERT ON public.show_seats REFERENCING NEW TABLE AS new_seats FOR EACH STATEMENT EXECUTE FUNCTION public.log_new_seats();

ALTER TABLE public.show_seats ENABLE ALWAYS TRIGGER show_seats_change_log_insert;


--
-- Name: TRIGGER show_seats_change_log_insert ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER show_seats_change_log_insert ON public.show_seats IS 'Logs seats that are added, a line for each statement and show.';


--
-- Name: show_seats show_seats_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER show_seats_change_log_update AFTER UPDATE OF id, show_id, section, row_label, seat_number, price_in_cents ON public.show_seats FOR EACH ROW EXECUTE FUNCTION public.log_change('id,show_id');

ALTER TABLE public.show_seats ENABLE ALWAYS TRIGGER show_seats_change_log_update;


--
-- Name: TRIGGER show_seats_change_log_update ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER show_seats_change_log_update ON public.show_seats IS 'Logs each change of the place or the price of a seat.';


--
-- Name: show_seats show_seats_change_log_update_by_hand; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER show_seats_change_log_update_by_hand AFTER UPDATE OF status, reserved_by, reserved_until ON public.show_seats FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id');

ALTER TABLE public.show_seats ENABLE ALWAYS TRIGGER show_seats_change_log_update_by_hand;


--
-- Name: TRIGGER show_seats_change_log_update_by_hand ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER show_seats_change_log_update_by_hand ON public.show_seats IS 'Logs each change of the state of a seat that none of our functions makes.';


--
-- Name: show_seats show_seats_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER show_seats_keep_rows BEFORE TRUNCATE ON public.show_seats FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('Delete what nothing refers to with DELETE, which is logged.');

ALTER TABLE public.show_seats ENABLE ALWAYS TRIGGER show_seats_keep_rows;


--
-- Name: TRIGGER show_seats_keep_rows ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER show_seats_keep_rows ON public.show_seats IS 'Refuses TRUNCATE.';


--
-- Name: shows shows_change_log_delete; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER shows_change_log_delete AFTER DELETE ON public.shows FOR EACH ROW EXECUTE FUNCTION public.log_change('id');

ALTER TABLE public.shows ENABLE ALWAYS TRIGGER shows_change_log_delete;


--
-- Name: TRIGGER shows_change_log_delete ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER shows_change_log_delete ON public.shows IS 'Logs each show that is deleted; one that anything refers to cannot be.';


--
-- Name: shows shows_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER shows_change_log_insert AFTER INSERT ON public.shows FOR EACH ROW EXECUTE FUNCTION public.log_change('id');

ALTER TABLE public.shows ENABLE ALWAYS TRIGGER shows_change_log_insert;


--
-- Name: TRIGGER shows_change_log_insert ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER shows_change_log_insert ON public.shows IS 'Logs each show that is added.';


--
-- Name: shows shows_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER shows_change_log_update AFTER UPDATE ON public.shows FOR EACH ROW EXECUTE FUNCTION public.log_change('id');

ALTER TABLE public.shows ENABLE ALWAYS TRIGGER shows_change_log_update;


--
-- Name: TRIGGER shows_change_log_update ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER shows_change_log_update ON public.shows IS 'Logs each change of a show.';


--
-- Name: shows shows_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER shows_keep_rows BEFORE TRUNCATE ON public.shows FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('Delete what nothing refers to with DELETE, which is logged.');

ALTER TABLE public.shows ENABLE ALWAYS TRIGGER shows_keep_rows;


--
-- Name: TRIGGER shows_keep_rows ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER shows_keep_rows ON public.shows IS 'Refuses TRUNCATE.';


--
-- Name: ticket_order_audit_log ticket_order_audit_log_append_only; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_order_audit_log_append_only BEFORE DELETE OR UPDATE ON public.ticket_order_audit_log FOR EACH ROW EXECUTE FUNCTION public.refuse_change('The log is append-only: add a row that corrects it.');

ALTER TABLE public.ticket_order_audit_log ENABLE ALWAYS TRIGGER ticket_order_audit_log_append_only;


--
-- Name: TRIGGER ticket_order_audit_log_append_only ON ticket_order_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_order_audit_log_append_only ON public.ticket_order_audit_log IS 'Refuses UPDATE and DELETE.';


--
-- Name: ticket_order_audit_log ticket_order_audit_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_order_audit_log_no_truncate BEFORE TRUNCATE ON public.ticket_order_audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.ticket_order_audit_log ENABLE ALWAYS TRIGGER ticket_order_audit_log_no_truncate;


--
-- Name: TRIGGER ticket_order_audit_log_no_truncate ON ticket_order_audit_log; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_order_audit_log_no_truncate ON public.ticket_order_audit_log IS 'Refuses TRUNCATE.';


--
-- Name: ticket_order_audit_log_default ticket_order_audit_log_no_truncate; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_order_audit_log_no_truncate BEFORE TRUNCATE ON public.ticket_order_audit_log_default FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('purge_history() drops what is past retention.');

ALTER TABLE public.ticket_order_audit_log_default ENABLE ALWAYS TRIGGER ticket_order_audit_log_no_truncate;


--
-- Name: ticket_order_keys ticket_order_keys_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_order_keys_change_log_insert AFTER INSERT ON public.ticket_order_keys FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('idempotency_key,show_id');

ALTER TABLE public.ticket_order_keys ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_insert;


--
-- Name: TRIGGER ticket_order_keys_change_log_insert ON ticket_order_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_order_keys_change_log_insert ON public.ticket_order_keys IS 'Logs each key that is added by hand.';


--
-- Name: ticket_order_keys ticket_order_keys_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_order_keys_change_log_update AFTER UPDATE ON public.ticket_order_keys FOR EACH ROW EXECUTE FUNCTION public.log_change('idempotency_key,show_id');

ALTER TABLE public.ticket_order_keys ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update;


--
-- Name: TRIGGER ticket_order_keys_change_log_update ON ticket_order_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_order_keys_change_log_update ON public.ticket_order_keys IS 'Logs each change of a key.';


--
-- Name: ticket_order_keys ticket_order_keys_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_order_keys_keep_rows BEFORE DELETE OR TRUNCATE ON public.ticket_order_keys FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('A key names its order for ever.');

ALTER TABLE public.ticket_order_keys ENABLE ALWAYS TRIGGER ticket_order_keys_keep_rows;


--
-- Name: TRIGGER ticket_order_keys_keep_rows ON ticket_order_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_order_keys_keep_rows ON public.ticket_order_keys IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: ticket_orders ticket_orders_audit_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_orders_audit_insert AFTER INSERT ON public.ticket_orders FOR EACH ROW EXECUTE FUNCTION public.audit_ticket_order();

ALTER TABLE public.ticket_orders ENABLE ALWAYS TRIGGER ticket_orders_audit_insert;


--
-- Name: TRIGGER ticket_orders_audit_insert ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_orders_audit_insert ON public.ticket_orders IS 'Logs each new order.';


--
-- Name: ticket_orders ticket_orders_audit_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_orders_audit_update AFTER UPDATE ON public.ticket_orders FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.audit_ticket_order();

ALTER TABLE public.ticket_orders ENABLE ALWAYS TRIGGER ticket_orders_audit_update;


--
-- Name: TRIGGER ticket_orders_audit_update ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_orders_audit_update ON public.ticket_orders IS 'Logs each change of status.';


--
-- Name: ticket_orders ticket_orders_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_orders_change_log_insert AFTER INSERT ON public.ticket_orders FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id', 'idempotency_key,error_message');

ALTER TABLE public.ticket_orders ENABLE ALWAYS TRIGGER ticket_orders_change_log_insert;


--
-- Name: TRIGGER ticket_orders_change_log_insert ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_orders_change_log_insert ON public.ticket_orders IS 'Logs each order that is added by hand.';


--
-- Name: ticket_orders ticket_orders_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_orders_change_log_update AFTER UPDATE OF id, show_id, reservation_id, seat_ids, total_amount_in_cents, currency, created_at ON public.ticket_orders FOR EACH ROW EXECUTE FUNCTION public.log_change('id,show_id', 'idempotency_key,error_message');

ALTER TABLE public.ticket_orders ENABLE ALWAYS TRIGGER ticket_orders_change_log_update;


--
-- Name: TRIGGER ticket_orders_change_log_update ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_orders_change_log_update ON public.ticket_orders IS 'Logs each change of what a order was made of.';


--
-- Name: ticket_orders ticket_orders_change_log_update_by_hand; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_orders_change_log_update_by_hand AFTER UPDATE OF status, idempotency_key, payment_provider, payment_intent_id, error_message, cancel_reason, refunded_amount_in_cents, paid_at ON public.ticket_orders FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id', 'idempotency_key,error_message');

ALTER TABLE public.ticket_orders ENABLE ALWAYS TRIGGER ticket_orders_change_log_update_by_hand;


--
-- Name: TRIGGER ticket_orders_change_log_update_by_hand ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_orders_change_log_update_by_hand ON public.ticket_orders IS 'Logs each change of the state of a order that none of our functions makes.';


--
-- Name: ticket_orders ticket_orders_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticket_orders_keep_rows BEFORE DELETE OR TRUNCATE ON public.ticket_orders FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('An order is cancelled or refunded, never deleted.');

ALTER TABLE public.ticket_orders ENABLE ALWAYS TRIGGER ticket_orders_keep_rows;


--
-- Name: TRIGGER ticket_orders_keep_rows ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticket_orders_keep_rows ON public.ticket_orders IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: ticketing_settings ticketing_settings_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticketing_settings_change_log_insert AFTER INSERT ON public.ticketing_settings FOR EACH ROW EXECUTE FUNCTION public.log_change('singleton');

ALTER TABLE public.ticketing_settings ENABLE ALWAYS TRIGGER ticketing_settings_change_log_insert;


--
-- Name: TRIGGER ticketing_settings_change_log_insert ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticketing_settings_change_log_insert ON public.ticketing_settings IS 'Logs each setting that is added by hand.';


--
-- Name: ticketing_settings ticketing_settings_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticketing_settings_change_log_update AFTER UPDATE ON public.ticketing_settings FOR EACH ROW EXECUTE FUNCTION public.log_change('singleton');

ALTER TABLE public.ticketing_settings ENABLE ALWAYS TRIGGER ticketing_settings_change_log_update;


--
-- Name: TRIGGER ticketing_settings_change_log_update ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticketing_settings_change_log_update ON public.ticketing_settings IS 'Logs each change of a setting.';


--
-- Name: ticketing_settings ticketing_settings_keep_row; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER ticketing_settings_keep_row BEFORE DELETE OR TRUNCATE ON public.ticketing_settings FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('Change the row with UPDATE.');

ALTER TABLE public.ticketing_settings ENABLE ALWAYS TRIGGER ticketing_settings_keep_row;


--
-- Name: TRIGGER ticketing_settings_keep_row ON ticketing_settings; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER ticketing_settings_keep_row ON public.ticketing_settings IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: tickets tickets_change_log_insert; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tickets_change_log_insert AFTER INSERT ON public.tickets FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id', 'ticket_code');

ALTER TABLE public.tickets ENABLE ALWAYS TRIGGER tickets_change_log_insert;


--
-- Name: TRIGGER tickets_change_log_insert ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER tickets_change_log_insert ON public.tickets IS 'Logs each ticket that is added by hand.';


--
-- Name: tickets tickets_change_log_update; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tickets_change_log_update AFTER UPDATE OF id, show_id, order_id, show_seat_id, price_in_cents, currency, ticket_code, created_at ON public.tickets FOR EACH ROW EXECUTE FUNCTION public.log_change('id,show_id', 'ticket_code');

ALTER TABLE public.tickets ENABLE ALWAYS TRIGGER tickets_change_log_update;


--
-- Name: TRIGGER tickets_change_log_update ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER tickets_change_log_update ON public.tickets IS 'Logs each change of what a ticket was made of.';


--
-- Name: tickets tickets_change_log_update_by_hand; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tickets_change_log_update_by_hand AFTER UPDATE OF status ON public.tickets FOR EACH ROW WHEN ((current_setting('commit_siblings'::text) <> '997'::text)) EXECUTE FUNCTION public.log_change('id,show_id', 'ticket_code');

ALTER TABLE public.tickets ENABLE ALWAYS TRIGGER tickets_change_log_update_by_hand;


--
-- Name: TRIGGER tickets_change_log_update_by_hand ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER tickets_change_log_update_by_hand ON public.tickets IS 'Logs each change of the state of a ticket that none of our functions makes.';


--
-- Name: tickets tickets_keep_rows; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER tickets_keep_rows BEFORE DELETE OR TRUNCATE ON public.tickets FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_change('A ticket is cancelled or refunded, never deleted.');

ALTER TABLE public.tickets ENABLE ALWAYS TRIGGER tickets_keep_rows;


--
-- Name: TRIGGER tickets_keep_rows ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON TRIGGER tickets_keep_rows ON public.tickets IS 'Refuses DELETE and TRUNCATE.';


--
-- Name: payment_events payment_events_order_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payment_events
    ADD CONSTRAINT payment_events_order_id_show_id_fkey FOREIGN KEY (order_id, show_id) REFERENCES public.ticket_orders(id, show_id);


--
-- Name: CONSTRAINT payment_events_order_id_show_id_fkey ON payment_events; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_events_order_id_show_id_fkey ON public.payment_events IS 'The order exists, and is of the same show.';


--
-- Name: payment_intents payment_intents_order_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.payment_intents
    ADD CONSTRAINT payment_intents_order_id_show_id_fkey FOREIGN KEY (order_id, show_id) REFERENCES public.ticket_orders(id, show_id);


--
-- Name: CONSTRAINT payment_intents_order_id_show_id_fkey ON payment_intents; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT payment_intents_order_id_show_id_fkey ON public.payment_intents IS 'The order exists, and is of the same show.';


--
-- Name: refunds refunds_order_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.refunds
    ADD CONSTRAINT refunds_order_id_show_id_fkey FOREIGN KEY (order_id, show_id) REFERENCES public.ticket_orders(id, show_id);


--
-- Name: CONSTRAINT refunds_order_id_show_id_fkey ON refunds; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT refunds_order_id_show_id_fkey ON public.refunds IS 'The order exists, and is of the same show.';


--
-- Name: reservation_seats reservation_seats_reservation_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservation_seats
    ADD CONSTRAINT reservation_seats_reservation_id_show_id_fkey FOREIGN KEY (reservation_id, show_id) REFERENCES public.seat_reservations(id, show_id);


--
-- Name: CONSTRAINT reservation_seats_reservation_id_show_id_fkey ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_seats_reservation_id_show_id_fkey ON public.reservation_seats IS 'The reservation exists, and is of the same show.';


--
-- Name: reservation_seats reservation_seats_show_seat_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.reservation_seats
    ADD CONSTRAINT reservation_seats_show_seat_id_show_id_fkey FOREIGN KEY (show_seat_id, show_id) REFERENCES public.show_seats(id, show_id);


--
-- Name: CONSTRAINT reservation_seats_show_seat_id_show_id_fkey ON reservation_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT reservation_seats_show_seat_id_show_id_fkey ON public.reservation_seats IS 'The seat exists, and is of the same show.';


--
-- Name: seat_reservations seat_reservations_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.seat_reservations
    ADD CONSTRAINT seat_reservations_show_id_fkey FOREIGN KEY (show_id) REFERENCES public.shows(id);


--
-- Name: CONSTRAINT seat_reservations_show_id_fkey ON seat_reservations; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT seat_reservations_show_id_fkey ON public.seat_reservations IS 'The show exists.';


--
-- Name: show_seats show_seats_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.show_seats
    ADD CONSTRAINT show_seats_show_id_fkey FOREIGN KEY (show_id) REFERENCES public.shows(id);


--
-- Name: CONSTRAINT show_seats_show_id_fkey ON show_seats; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT show_seats_show_id_fkey ON public.show_seats IS 'The show exists.';


--
-- Name: shows shows_currency_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.shows
    ADD CONSTRAINT shows_currency_fkey FOREIGN KEY (currency) REFERENCES public.currencies(code);


--
-- Name: CONSTRAINT shows_currency_fkey ON shows; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT shows_currency_fkey ON public.shows IS 'The currency is known, and with it how to read prices.';


--
-- Name: ticket_order_keys ticket_order_keys_order_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_order_keys
    ADD CONSTRAINT ticket_order_keys_order_id_show_id_fkey FOREIGN KEY (order_id, show_id) REFERENCES public.ticket_orders(id, show_id);


--
-- Name: CONSTRAINT ticket_order_keys_order_id_show_id_fkey ON ticket_order_keys; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_order_keys_order_id_show_id_fkey ON public.ticket_order_keys IS 'The order exists, and is of the same show.';


--
-- Name: ticket_orders ticket_orders_reservation_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.ticket_orders
    ADD CONSTRAINT ticket_orders_reservation_id_show_id_fkey FOREIGN KEY (reservation_id, show_id) REFERENCES public.seat_reservations(id, show_id);


--
-- Name: CONSTRAINT ticket_orders_reservation_id_show_id_fkey ON ticket_orders; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT ticket_orders_reservation_id_show_id_fkey ON public.ticket_orders IS 'The reservation exists, and is of the same show.';


--
-- Name: tickets tickets_order_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_order_id_show_id_fkey FOREIGN KEY (order_id, show_id) REFERENCES public.ticket_orders(id, show_id);


--
-- Name: CONSTRAINT tickets_order_id_show_id_fkey ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_order_id_show_id_fkey ON public.tickets IS 'The order exists, and is of the same show.';


--
-- Name: tickets tickets_show_seat_id_show_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.tickets
    ADD CONSTRAINT tickets_show_seat_id_show_id_fkey FOREIGN KEY (show_seat_id, show_id) REFERENCES public.show_seats(id, show_id);


--
-- Name: CONSTRAINT tickets_show_seat_id_show_id_fkey ON tickets; Type: COMMENT; Schema: public; Owner: -
--

COMMENT ON CONSTRAINT tickets_show_seat_id_show_id_fkey ON public.tickets IS 'The seat exists, and is of the same show.';


--
-- Name: SCHEMA monitoring; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA monitoring TO ticketdb_monitor;


--
-- Name: SCHEMA public; Type: ACL; Schema: -; Owner: -
--

GRANT USAGE ON SCHEMA public TO ticketdb_app;
GRANT USAGE ON SCHEMA public TO ticketdb_monitor;


--
-- Name: FUNCTION active_reservation_totals(OUT active_reservations bigint, OUT expiring_soon bigint, OUT total_seats_held bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.active_reservation_totals(OUT active_reservations bigint, OUT expiring_soon bigint, OUT total_seats_held bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.active_reservation_totals(OUT active_reservations bigint, OUT expiring_soon bigint, OUT total_seats_held bigint) TO ticketdb_monitor;


--
-- Name: FUNCTION adopt_restored_log(p_log text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.adopt_restored_log(p_log text) FROM PUBLIC;


--
-- Name: FUNCTION api_durations(p_since timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.api_durations(p_since timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.api_durations(p_since timestamp with time zone) TO ticketdb_monitor;


--
-- Name: FUNCTION api_metrics(p_since timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.api_metrics(p_since timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.api_metrics(p_since timestamp with time zone) TO ticketdb_monitor;


--
-- Name: FUNCTION api_request_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.api_request_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION audit_seat_reservation(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.audit_seat_reservation() FROM PUBLIC;


--
-- Name: FUNCTION audit_ticket_order(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.audit_ticket_order() FROM PUBLIC;


--
-- Name: FUNCTION can_use_pg_cron(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.can_use_pg_cron() FROM PUBLIC;


--
-- Name: FUNCTION cancel_dead_orders(p_limit integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.cancel_dead_orders(p_limit integer) FROM PUBLIC;


--
-- Name: FUNCTION check_invariants(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.check_invariants() FROM PUBLIC;


--
-- Name: FUNCTION cleanup_expired_seat_reservations(p_batch_size integer, OUT total_reservations_expired integer, OUT total_seats_released integer, OUT reservation_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.cleanup_expired_seat_reservations(p_batch_size integer, OUT total_reservations_expired integer, OUT total_seats_released integer, OUT reservation_ids uuid[]) FROM PUBLIC;


--
-- Name: FUNCTION cleanup_job_problem(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.cleanup_job_problem() FROM PUBLIC;
GRANT ALL ON FUNCTION public.cleanup_job_problem() TO ticketdb_monitor;


--
-- Name: FUNCTION cleanup_job_state(OUT scheduler text, OUT last_run_age_seconds double precision, OUT last_run_duration_seconds double precision, OUT last_run_failed boolean, OUT failed_runs_24h bigint, OUT runs_24h bigint, OUT is_scheduled boolean, OUT scheduler_alive boolean, OUT has_run boolean, OUT skipped_runs_24h bigint, OUT longest_run_seconds double precision); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.cleanup_job_state(OUT scheduler text, OUT last_run_age_seconds double precision, OUT last_run_duration_seconds double precision, OUT last_run_failed boolean, OUT failed_runs_24h bigint, OUT runs_24h bigint, OUT is_scheduled boolean, OUT scheduler_alive boolean, OUT has_run boolean, OUT skipped_runs_24h bigint, OUT longest_run_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cleanup_job_state(OUT scheduler text, OUT last_run_age_seconds double precision, OUT last_run_duration_seconds double precision, OUT last_run_failed boolean, OUT failed_runs_24h bigint, OUT runs_24h bigint, OUT is_scheduled boolean, OUT scheduler_alive boolean, OUT has_run boolean, OUT skipped_runs_24h bigint, OUT longest_run_seconds double precision) TO ticketdb_monitor;


--
-- Name: FUNCTION cleanup_run_totals(p_since timestamp with time zone, OUT runs bigint, OUT failed_runs bigint, OUT skipped_runs bigint, OUT longest_run_seconds double precision, OUT last_start_time timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.cleanup_run_totals(p_since timestamp with time zone, OUT runs bigint, OUT failed_runs bigint, OUT skipped_runs bigint, OUT longest_run_seconds double precision, OUT last_start_time timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.cleanup_run_totals(p_since timestamp with time zone, OUT runs bigint, OUT failed_runs bigint, OUT skipped_runs bigint, OUT longest_run_seconds double precision, OUT last_start_time timestamp with time zone) TO ticketdb_monitor;


--
-- Name: FUNCTION commit_durably(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.commit_durably() FROM PUBLIC;


--
-- Name: FUNCTION confirm_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_amount_in_cents bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.confirm_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_amount_in_cents bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.confirm_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_amount_in_cents bigint) TO ticketdb_app;


--
-- Name: FUNCTION connections_by_state(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.connections_by_state() FROM PUBLIC;
GRANT ALL ON FUNCTION public.connections_by_state() TO ticketdb_monitor;


--
-- Name: FUNCTION count_violations(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.count_violations() FROM PUBLIC;


--
-- Name: FUNCTION create_log_partition(p_table text, p_month date); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.create_log_partition(p_table text, p_month date) FROM PUBLIC;


--
-- Name: FUNCTION create_ticket_order(p_reservation_token text, p_session_id text, p_idempotency_key text, p_payment_provider text, p_payment_intent_id text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.create_ticket_order(p_reservation_token text, p_session_id text, p_idempotency_key text, p_payment_provider text, p_payment_intent_id text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.create_ticket_order(p_reservation_token text, p_session_id text, p_idempotency_key text, p_payment_provider text, p_payment_intent_id text) TO ticketdb_app;


--
-- Name: FUNCTION cron_cleanup_runs(p_limit integer, p_since timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.cron_cleanup_runs(p_limit integer, p_since timestamp with time zone) FROM PUBLIC;


--
-- Name: FUNCTION due_refunds(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.due_refunds() FROM PUBLIC;
GRANT ALL ON FUNCTION public.due_refunds() TO ticketdb_monitor;


--
-- Name: FUNCTION duration_bucket_growth(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.duration_bucket_growth() FROM PUBLIC;
GRANT ALL ON FUNCTION public.duration_bucket_growth() TO ticketdb_monitor;


--
-- Name: FUNCTION end_holds(p_show_id uuid, p_reservation_ids uuid[], p_status text, p_lock_seat_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.end_holds(p_show_id uuid, p_reservation_ids uuid[], p_status text, p_lock_seat_ids uuid[]) FROM PUBLIC;


--
-- Name: FUNCTION end_overdue_holds(p_show_id uuid, p_reservation_ids uuid[], OUT ended_ids uuid[], OUT seats_released integer, OUT error_code text, OUT error_message text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.end_overdue_holds(p_show_id uuid, p_reservation_ids uuid[], OUT ended_ids uuid[], OUT seats_released integer, OUT error_code text, OUT error_message text) FROM PUBLIC;


--
-- Name: FUNCTION endpoint_limit(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.endpoint_limit() FROM PUBLIC;
GRANT ALL ON FUNCTION public.endpoint_limit() TO ticketdb_monitor;


--
-- Name: FUNCTION error_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.error_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION error_message(p_error_code text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.error_message(p_error_code text) FROM PUBLIC;


--
-- Name: FUNCTION error_metrics(p_since timestamp with time zone, p_limit integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.error_metrics(p_since timestamp with time zone, p_limit integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.error_metrics(p_since timestamp with time zone, p_limit integer) TO ticketdb_monitor;


--
-- Name: FUNCTION expire_holds(p_show_id uuid, p_reservation_ids uuid[], p_lock_seat_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.expire_holds(p_show_id uuid, p_reservation_ids uuid[], p_lock_seat_ids uuid[]) FROM PUBLIC;


--
-- Name: FUNCTION extend_reservation(p_reservation_token text, p_session_id text, p_expires_at timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.extend_reservation(p_reservation_token text, p_session_id text, p_expires_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.extend_reservation(p_reservation_token text, p_session_id text, p_expires_at timestamp with time zone) TO ticketdb_app;


--
-- Name: FUNCTION extension_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.extension_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION extension_metrics(p_days integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.extension_metrics(p_days integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.extension_metrics(p_days integer) TO ticketdb_monitor;


--
-- Name: FUNCTION fail_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_error_message text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.fail_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_error_message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.fail_payment(p_show_id uuid, p_order_id uuid, p_provider text, p_event_id text, p_error_message text) TO ticketdb_app;


--
-- Name: FUNCTION fold_api_request_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.fold_api_request_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION fold_events(p_log text, p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.fold_events(p_log text, p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION fold_order_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.fold_order_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION fold_reservation_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.fold_reservation_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION get_reservation_statistics(p_show_id uuid, p_hours integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.get_reservation_statistics(p_show_id uuid, p_hours integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.get_reservation_statistics(p_show_id uuid, p_hours integer) TO ticketdb_app;
GRANT ALL ON FUNCTION public.get_reservation_statistics(p_show_id uuid, p_hours integer) TO ticketdb_monitor;


--
-- Name: FUNCTION is_own_work(p_xmin xid); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.is_own_work(p_xmin xid) FROM PUBLIC;


--
-- Name: FUNCTION is_restored_log(p_log text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.is_restored_log(p_log text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.is_restored_log(p_log text) TO ticketdb_monitor;


--
-- Name: FUNCTION is_time_zone(p_name text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.is_time_zone(p_name text) FROM PUBLIC;


--
-- Name: FUNCTION uuid_v7(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.uuid_v7() FROM PUBLIC;


--
-- Name: COLUMN ticket_orders.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.reservation_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(reservation_id) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.seat_ids; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(seat_ids) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(status) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.total_amount_in_cents; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(total_amount_in_cents) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.currency; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(currency) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.payment_provider; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(payment_provider) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.cancel_reason; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(cancel_reason) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.refunded_amount_in_cents; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(refunded_amount_in_cents) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: COLUMN ticket_orders.paid_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(paid_at) ON TABLE public.ticket_orders TO ticketdb_monitor;


--
-- Name: FUNCTION lock_order(p_show_id uuid, p_order_id uuid); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.lock_order(p_show_id uuid, p_order_id uuid) FROM PUBLIC;


--
-- Name: COLUMN seat_reservations.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservations.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservations.status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(status) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservations.is_active; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(is_active) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservations.expires_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(expires_at) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservations.extension_count; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(extension_count) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservations.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservations.ended_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(ended_at) ON TABLE public.seat_reservations TO ticketdb_monitor;


--
-- Name: FUNCTION lock_reservation(p_reservation_token text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.lock_reservation(p_reservation_token text) FROM PUBLIC;


--
-- Name: FUNCTION lock_wait_totals(OUT waiting_sessions bigint, OUT longest_wait_seconds double precision); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.lock_wait_totals(OUT waiting_sessions bigint, OUT longest_wait_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION public.lock_wait_totals(OUT waiting_sessions bigint, OUT longest_wait_seconds double precision) TO ticketdb_monitor;


--
-- Name: FUNCTION log_api_request(p_endpoint text, p_method text, p_status_code integer, p_duration_ms double precision); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_api_request(p_endpoint text, p_method text, p_status_code integer, p_duration_ms double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION public.log_api_request(p_endpoint text, p_method text, p_status_code integer, p_duration_ms double precision) TO ticketdb_app;


--
-- Name: FUNCTION log_change(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_change() FROM PUBLIC;


--
-- Name: FUNCTION log_horizon(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_horizon() FROM PUBLIC;


--
-- Name: FUNCTION log_new_seats(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_new_seats() FROM PUBLIC;


--
-- Name: FUNCTION log_order_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_order_id uuid, p_reservation_id uuid, p_session_id text, p_old_status text, p_amount_in_cents bigint, p_payment_provider text, p_detail jsonb); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_order_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_order_id uuid, p_reservation_id uuid, p_session_id text, p_old_status text, p_amount_in_cents bigint, p_payment_provider text, p_detail jsonb) FROM PUBLIC;


--
-- Name: FUNCTION log_partitions(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_partitions() FROM PUBLIC;
GRANT ALL ON FUNCTION public.log_partitions() TO ticketdb_monitor;


--
-- Name: FUNCTION log_reservation_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_reservation_id uuid, p_session_id text, p_seat_ids uuid[], p_user_agent text, p_ip_address inet, p_detail jsonb); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_reservation_failure(p_function text, p_error_code text, p_error_message text, p_show_id uuid, p_reservation_id uuid, p_session_id text, p_seat_ids uuid[], p_user_agent text, p_ip_address inet, p_detail jsonb) FROM PUBLIC;


--
-- Name: FUNCTION log_tail(p_log text, OUT from_xact_id xid8, OUT below_xact_id xid8, OUT after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.log_tail(p_log text, OUT from_xact_id xid8, OUT below_xact_id xid8, OUT after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION maintain_partitions(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.maintain_partitions() FROM PUBLIC;


--
-- Name: FUNCTION maintenance_backlog(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.maintenance_backlog() FROM PUBLIC;
GRANT ALL ON FUNCTION public.maintenance_backlog() TO ticketdb_monitor;


--
-- Name: FUNCTION merge_minor_endpoints(p_minutes timestamp with time zone[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.merge_minor_endpoints(p_minutes timestamp with time zone[]) FROM PUBLIC;


--
-- Name: FUNCTION next_xact_id(p_xact_id xid8); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.next_xact_id(p_xact_id xid8) FROM PUBLIC;


--
-- Name: FUNCTION nth_xact_id(p_log text, p_from xid8, p_below xid8, p_after_id bigint, p_rows_before integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.nth_xact_id(p_log text, p_from xid8, p_below xid8, p_after_id bigint, p_rows_before integer) FROM PUBLIC;


--
-- Name: FUNCTION open_transactions(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.open_transactions() FROM PUBLIC;
GRANT ALL ON FUNCTION public.open_transactions() TO ticketdb_monitor;


--
-- Name: FUNCTION order_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.order_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION order_metrics(p_since timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.order_metrics(p_since timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.order_metrics(p_since timestamp with time zone) TO ticketdb_monitor;


--
-- Name: FUNCTION overdue_hold_totals(OUT overdue_holds bigint, OUT oldest_overdue_seconds double precision); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.overdue_hold_totals(OUT overdue_holds bigint, OUT oldest_overdue_seconds double precision) FROM PUBLIC;
GRANT ALL ON FUNCTION public.overdue_hold_totals(OUT overdue_holds bigint, OUT oldest_overdue_seconds double precision) TO ticketdb_monitor;


--
-- Name: FUNCTION overdue_holds(p_limit integer, p_portion_size integer, p_after_expires_at timestamp with time zone, p_after_id uuid); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.overdue_holds(p_limit integer, p_portion_size integer, p_after_expires_at timestamp with time zone, p_after_id uuid) FROM PUBLIC;


--
-- Name: FUNCTION partial_refunds(p_since timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.partial_refunds(p_since timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.partial_refunds(p_since timestamp with time zone) TO ticketdb_monitor;


--
-- Name: FUNCTION partitioned_logs(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.partitioned_logs() FROM PUBLIC;


--
-- Name: FUNCTION purge_history(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.purge_history() FROM PUBLIC;


--
-- Name: FUNCTION purge_personal_data(p_limit integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.purge_personal_data(p_limit integer) FROM PUBLIC;


--
-- Name: FUNCTION purge_rollups(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.purge_rollups() FROM PUBLIC;


--
-- Name: FUNCTION purge_run_history(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.purge_run_history() FROM PUBLIC;


--
-- Name: FUNCTION refund_order(p_show_id uuid, p_order_id uuid); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.refund_order(p_show_id uuid, p_order_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refund_order(p_show_id uuid, p_order_id uuid) TO ticketdb_app;


--
-- Name: FUNCTION refuse_change(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.refuse_change() FROM PUBLIC;


--
-- Name: FUNCTION release_reservation(p_reservation_token text, p_session_id text, p_seat_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.release_reservation(p_reservation_token text, p_session_id text, p_seat_ids uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.release_reservation(p_reservation_token text, p_session_id text, p_seat_ids uuid[]) TO ticketdb_app;


--
-- Name: FUNCTION remember_payment_intent(p_show_id uuid, p_order_id uuid, p_payment_provider text, p_payment_intent_id text); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.remember_payment_intent(p_show_id uuid, p_order_id uuid, p_payment_provider text, p_payment_intent_id text) FROM PUBLIC;


--
-- Name: FUNCTION reservation_cleanup_job_runs(p_limit integer, p_since timestamp with time zone); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.reservation_cleanup_job_runs(p_limit integer, p_since timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reservation_cleanup_job_runs(p_limit integer, p_since timestamp with time zone) TO ticketdb_monitor;


--
-- Name: FUNCTION reservation_events(p_from xid8, p_below xid8, p_after_id bigint); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.reservation_events(p_from xid8, p_below xid8, p_after_id bigint) FROM PUBLIC;


--
-- Name: FUNCTION reservation_metrics(p_since timestamp with time zone, p_show_id uuid); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.reservation_metrics(p_since timestamp with time zone, p_show_id uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reservation_metrics(p_since timestamp with time zone, p_show_id uuid) TO ticketdb_monitor;


--
-- Name: FUNCTION reserve_seats(p_show_id uuid, p_seat_ids uuid[], p_session_id text, p_user_id text, p_email text, p_user_agent text, p_ip_address inet); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.reserve_seats(p_show_id uuid, p_seat_ids uuid[], p_session_id text, p_user_id text, p_email text, p_user_agent text, p_ip_address inet) FROM PUBLIC;
GRANT ALL ON FUNCTION public.reserve_seats(p_show_id uuid, p_seat_ids uuid[], p_session_id text, p_user_id text, p_email text, p_user_agent text, p_ip_address inet) TO ticketdb_app;


--
-- Name: FUNCTION retake_seats(p_show_id uuid, p_reservation_id uuid, p_seat_ids uuid[]); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.retake_seats(p_show_id uuid, p_reservation_id uuid, p_seat_ids uuid[]) FROM PUBLIC;


--
-- Name: FUNCTION revoke_default_privileges(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.revoke_default_privileges() FROM PUBLIC;


--
-- Name: FUNCTION roll_up_metrics(p_max_events integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.roll_up_metrics(p_max_events integer) FROM PUBLIC;


--
-- Name: FUNCTION rollup_state(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.rollup_state() FROM PUBLIC;
GRANT ALL ON FUNCTION public.rollup_state() TO ticketdb_monitor;


--
-- Name: PROCEDURE run_reservation_cleanup(IN p_scheduler text, IN p_batch_size integer, INOUT run_id bigint, INOUT status text, INOUT reservations_expired integer, INOUT seats_released integer, INOUT orders_cancelled integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON PROCEDURE public.run_reservation_cleanup(IN p_scheduler text, IN p_batch_size integer, INOUT run_id bigint, INOUT status text, INOUT reservations_expired integer, INOUT seats_released integer, INOUT orders_cancelled integer) FROM PUBLIC;


--
-- Name: FUNCTION schedule_jobs(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.schedule_jobs() FROM PUBLIC;


--
-- Name: FUNCTION scheduled_jobs(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.scheduled_jobs() FROM PUBLIC;


--
-- Name: FUNCTION sync_reserved_until(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.sync_reserved_until() FROM PUBLIC;


--
-- Name: FUNCTION system_identifier(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.system_identifier() FROM PUBLIC;


--
-- Name: FUNCTION unschedule_jobs(); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.unschedule_jobs() FROM PUBLIC;


--
-- Name: FUNCTION wait_for_others(p_since timestamp with time zone, p_rows integer); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.wait_for_others(p_since timestamp with time zone, p_rows integer) FROM PUBLIC;


--
-- Name: FUNCTION window_start(p_length interval); Type: ACL; Schema: public; Owner: -
--

REVOKE ALL ON FUNCTION public.window_start(p_length interval) FROM PUBLIC;
GRANT ALL ON FUNCTION public.window_start(p_length interval) TO ticketdb_monitor;


--
-- Name: TABLE active_reservations; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.active_reservations TO ticketdb_monitor;


--
-- Name: TABLE alert_rules; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.alert_rules TO ticketdb_monitor;


--
-- Name: TABLE cleanup_job_health; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.cleanup_job_health TO ticketdb_monitor;


--
-- Name: TABLE lock_waits; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.lock_waits TO ticketdb_monitor;


--
-- Name: TABLE currencies; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.currencies TO ticketdb_app;
GRANT SELECT ON TABLE public.currencies TO ticketdb_monitor;


--
-- Name: TABLE refunds_due; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.refunds_due TO ticketdb_monitor;


--
-- Name: TABLE alerts; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.alerts TO ticketdb_monitor;


--
-- Name: TABLE api_endpoint_health; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.api_endpoint_health TO ticketdb_monitor;


--
-- Name: TABLE connection_pool; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.connection_pool TO ticketdb_monitor;


--
-- Name: TABLE double_booking_attempts; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.double_booking_attempts TO ticketdb_monitor;


--
-- Name: TABLE extension_trends; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.extension_trends TO ticketdb_monitor;


--
-- Name: TABLE health; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.health TO ticketdb_monitor;


--
-- Name: TABLE hourly_metrics; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.hourly_metrics TO ticketdb_monitor;


--
-- Name: TABLE invariant_violations; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.invariant_violations TO ticketdb_monitor;


--
-- Name: TABLE payment_failures; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.payment_failures TO ticketdb_monitor;


--
-- Name: TABLE reservation_expiration_rate; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.reservation_expiration_rate TO ticketdb_monitor;


--
-- Name: TABLE reservation_hold_time; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.reservation_hold_time TO ticketdb_monitor;


--
-- Name: TABLE reservation_success_rate; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.reservation_success_rate TO ticketdb_monitor;


--
-- Name: TABLE quality_dashboard; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.quality_dashboard TO ticketdb_monitor;


--
-- Name: TABLE shows; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.shows TO ticketdb_app;
GRANT SELECT ON TABLE public.shows TO ticketdb_monitor;


--
-- Name: TABLE revenue_today; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.revenue_today TO ticketdb_monitor;


--
-- Name: TABLE realtime_dashboard; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.realtime_dashboard TO ticketdb_monitor;


--
-- Name: TABLE system_health; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.system_health TO ticketdb_monitor;


--
-- Name: TABLE top_errors; Type: ACL; Schema: monitoring; Owner: -
--

GRANT SELECT ON TABLE monitoring.top_errors TO ticketdb_monitor;


--
-- Name: TABLE api_request_log; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.api_request_log TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.provider; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(provider) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.order_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(order_id) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.kind; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(kind) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.amount_in_cents; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(amount_in_cents) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.success; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(success) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.order_status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(order_status) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.error_code; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(error_code) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN payment_events.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.payment_events TO ticketdb_monitor;


--
-- Name: COLUMN refunds.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.order_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(order_id) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.amount_in_cents; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(amount_in_cents) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.currency; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(currency) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.reason; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(reason) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(status) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.payment_provider; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(payment_provider) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: COLUMN refunds.done_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(done_at) ON TABLE public.refunds TO ticketdb_monitor;


--
-- Name: TABLE reservation_cleanup_job_status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.reservation_cleanup_job_status TO ticketdb_monitor;


--
-- Name: TABLE reservation_cleanup_runs; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.reservation_cleanup_runs TO ticketdb_monitor;


--
-- Name: TABLE reservation_seats; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.reservation_seats TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.event_type; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(event_type) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.reservation_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(reservation_id) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.seat_count; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(seat_count) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.seat_ids; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(seat_ids) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.error_code; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(error_code) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.error_message; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(error_message) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.hold_seconds; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(hold_seconds) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.xact_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(xact_id) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN seat_reservation_audit_log.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.seat_reservation_audit_log TO ticketdb_monitor;


--
-- Name: TABLE show_seats; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT ON TABLE public.show_seats TO ticketdb_monitor;


--
-- Name: COLUMN show_seats.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN show_seats.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN show_seats.section; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(section) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN show_seats.row_label; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(row_label) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN show_seats.seat_number; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(seat_number) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN show_seats.status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(status) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN show_seats.reserved_until; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(reserved_until) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN show_seats.price_in_cents; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(price_in_cents) ON TABLE public.show_seats TO ticketdb_app;


--
-- Name: COLUMN ticket_order_audit_log.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.order_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(order_id) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.reservation_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(reservation_id) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.old_status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(old_status) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.new_status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(new_status) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.amount_in_cents; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(amount_in_cents) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.currency; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(currency) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.seat_count; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(seat_count) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.payment_provider; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(payment_provider) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.order_created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(order_created_at) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.error_code; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(error_code) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.xact_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(xact_id) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN ticket_order_audit_log.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.ticket_order_audit_log TO ticketdb_monitor;


--
-- Name: COLUMN tickets.id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(id) ON TABLE public.tickets TO ticketdb_monitor;


--
-- Name: COLUMN tickets.show_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_id) ON TABLE public.tickets TO ticketdb_monitor;


--
-- Name: COLUMN tickets.order_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(order_id) ON TABLE public.tickets TO ticketdb_monitor;


--
-- Name: COLUMN tickets.show_seat_id; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(show_seat_id) ON TABLE public.tickets TO ticketdb_monitor;


--
-- Name: COLUMN tickets.price_in_cents; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(price_in_cents) ON TABLE public.tickets TO ticketdb_monitor;


--
-- Name: COLUMN tickets.currency; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(currency) ON TABLE public.tickets TO ticketdb_monitor;


--
-- Name: COLUMN tickets.status; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(status) ON TABLE public.tickets TO ticketdb_monitor;


--
-- Name: COLUMN tickets.created_at; Type: ACL; Schema: public; Owner: -
--

GRANT SELECT(created_at) ON TABLE public.tickets TO ticketdb_monitor;


--
-- PostgreSQL database dump complete
--


