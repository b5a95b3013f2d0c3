-- 0007: Exact rollups of the logs.
-- A template, frozen by `ticketdb revision`.

-- object: rollup/reservation_minutes.sql sha256=59f15d332523fe1870482566517caaf5cd39a0f13e7e22e9d694f04ee0b2f842
-- Rollup of seat_reservation_audit_log: events of reservations, for each show and for all shows
-- together. Different queries read the two, and most rows are those of shows. So each has a
-- partition: a dashboard of all shows reads few pages.
CREATE TABLE {{ internal_schema }}.reservation_minutes (
    show_id uuid,
    minute timestamptz NOT NULL,
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
    CONSTRAINT reservation_minutes_show_id_minute_key UNIQUE NULLS NOT DISTINCT (show_id, minute),
    CONSTRAINT reservation_minutes_minute_check CHECK (isfinite(minute))
)
PARTITION BY LIST (show_id);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes IS
'Rollup of seat_reservation_audit_log: events of reservations by show and minute. Written by '
'roll_up_metrics(), read through reservation_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.show_id IS
'The show; the nil UUID for calls that named none; NULL for the sum over all shows.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.created IS 'Reservations created.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.completed IS
'Reservations completed, that is, sold.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.expired IS 'Reservations expired.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.released IS
'Releases, including partial ones.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.extended IS
'Extensions of reservations.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed IS 'Refused calls.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed_attempts IS
'Refused calls that tried to reserve seats.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.race_conditions IS
'Refused attempts to reserve because of another customer: the seats were taken, or locked.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.constraint_violations IS
'Refused calls that violated a constraint of the database.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.holds_ended IS
'Completed and expired reservations whose duration is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.hold_microseconds IS
'Sum of the durations of these, in microseconds: integers add up exactly.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.releases_ended IS
'Released reservations whose duration is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.release_microseconds IS
'Sum of the durations of these, in microseconds.';
COMMENT ON CONSTRAINT reservation_minutes_show_id_minute_key
ON {{ internal_schema }}.reservation_minutes IS
'One row for each show and minute, and one for all shows together.';

-- object: rollup/reservation_minutes_all.sql sha256=6a9f3cc1cae35df69fb7c4e4a753affb37b9722530f9b671583687a67740c17f
CREATE TABLE {{ internal_schema }}.reservation_minutes_all
PARTITION OF {{ internal_schema }}.reservation_minutes FOR VALUES IN (NULL)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes_all IS
'Partition of reservation_minutes: all shows together.';

-- object: rollup/reservation_minutes_by_show.sql sha256=72d33b6ef1532ccb2dbe0a90f24d0e8f1b6b94a6fba3d6570e9db56792b62a2f
CREATE TABLE {{ internal_schema }}.reservation_minutes_by_show
PARTITION OF {{ internal_schema }}.reservation_minutes DEFAULT
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes_by_show IS
'Partition of reservation_minutes: each show separately.';

-- object: rollup/error_minutes.sql sha256=df836744c8d727db391aa491b5a3c15ef28fbcd35dbf52be567ce537c3d6a45b
-- Rollup of seat_reservation_audit_log: refused calls by error message. Messages are few: they are
-- the fixed sentences of error_message().
CREATE TABLE {{ internal_schema }}.error_minutes (
    minute timestamptz NOT NULL,
    error_message text NOT NULL,
    occurrences bigint NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT error_minutes_pkey PRIMARY KEY (minute, error_message),
    CONSTRAINT error_minutes_last_seen_at_check CHECK (isfinite(last_seen_at)),
    CONSTRAINT error_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.error_minutes IS
'Rollup of seat_reservation_audit_log: refused calls by minute and message. Written by '
'roll_up_metrics(), read through error_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.error_message IS
'Error message of the calls; (no message) where the log has none.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.occurrences IS 'Number of refused calls.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.last_seen_at IS
'Time of the latest of these calls.';

-- object: rollup/extended_reservations.sql sha256=0f8844ce00888f95e46c7ce64535018eaab0770433142320045f79f66987cf4f
-- The reservations behind extension_quarters, kept while their days are shown: to count an
-- extension, the other extensions of its reservation are needed.
CREATE TABLE {{ internal_schema }}.extended_reservations (
    reservation_id uuid NOT NULL,
    quarter timestamptz NOT NULL,
    CONSTRAINT extended_reservations_pkey PRIMARY KEY (reservation_id, quarter),
    CONSTRAINT extended_reservations_quarter_check CHECK (isfinite(quarter))
);

-- For purge_history().
CREATE INDEX extended_reservations_quarter_idx
ON {{ internal_schema }}.extended_reservations USING brin (quarter);

COMMENT ON TABLE {{ internal_schema }}.extended_reservations IS
'Reservations extended in each quarter of an hour of the last days. Written by roll_up_metrics(), '
'read through extension_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.reservation_id IS 'The reservation.';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.quarter IS
'Start of the quarter of an hour in which it was extended.';
COMMENT ON INDEX {{ internal_schema }}.extended_reservations_quarter_idx IS
'Used by purge_history().';

-- object: rollup/extension_quarters.sql sha256=094313a883653459fdebcab4fcd50b495a1f42316adbf2ab3f886b5140068d0f
-- Rollup of extensions. The different reservations extended in a day cannot be added up from those
-- of shorter periods, since some are extended twice. They can where it is known when each was
-- extended before: those already extended on the same day are left out. By quarter of an hour,
-- because in every time zone days begin at one.
CREATE TABLE {{ internal_schema }}.extension_quarters (
    quarter timestamptz NOT NULL,
    previous_quarter timestamptz NOT NULL,
    reservations bigint NOT NULL,
    CONSTRAINT extension_quarters_pkey PRIMARY KEY (quarter, previous_quarter),
    CONSTRAINT extension_quarters_previous_quarter_check CHECK (isfinite(previous_quarter)),
    CONSTRAINT extension_quarters_quarter_check CHECK (isfinite(quarter))
);

COMMENT ON TABLE {{ internal_schema }}.extension_quarters IS
'Rollup of seat_reservation_audit_log: reservations extended, by quarter of an hour and by the '
'quarter of their extension before. Written by roll_up_metrics(), read through '
'extension_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.quarter IS
'Start of the quarter of an hour in which they were extended.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.previous_quarter IS
'Start of the last quarter before it in which the same reservations were extended; 1970 where '
'there was none.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.reservations IS
'Number of reservations.';

-- object: rollup/order_minutes.sql sha256=cc48001637d12b517145a5e5a6c0c994f3e4243bcd3abbdfe9fc8d1d923522dd
-- Rollup of ticket_order_audit_log. An order is counted under its status in the minute of its
-- creation, and when its status changes it is subtracted there and counted under the new one. So
-- the rows show the present status of orders.
CREATE TABLE {{ internal_schema }}.order_minutes (
    minute timestamptz NOT NULL,
    currency text NOT NULL,
    orders bigint NOT NULL,
    failed_orders bigint NOT NULL,
    paid_orders bigint NOT NULL,
    revenue_in_cents bigint NOT NULL,
    tickets bigint NOT NULL,
    payments bigint NOT NULL,
    CONSTRAINT order_minutes_pkey PRIMARY KEY (minute, currency),
    CONSTRAINT order_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.order_minutes IS
'Rollup of ticket_order_audit_log: orders, tickets and payment reports by minute and currency. '
'Written by roll_up_metrics(), read through order_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.minute IS 'Start of the minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.currency IS
'ISO 4217 code; none for refused calls that named no order.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.orders IS 'Orders created in this minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.failed_orders IS
'Orders created in this minute whose present status is failed.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.paid_orders IS
'Orders created in this minute whose present status is paid.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.revenue_in_cents IS
'Total amount of these paid orders, in the minor unit of the currency.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.tickets IS
'Tickets issued in this minute, whenever they were ordered.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.payments IS
'Reports of payment providers in this minute: payments, failures, and those that were refused.';

-- object: rollup/api_request_minutes.sql sha256=21e8a9a761b0072545c755ab59b1eb2168c8905c1e697064eb47c5b7fe2cd202
-- Rollup of api_request_log: requests, errors and the sum of durations.
CREATE TABLE {{ internal_schema }}.api_request_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    duration_microseconds bigint NOT NULL,
    CONSTRAINT api_request_minutes_pkey PRIMARY KEY (minute, endpoint),
    CONSTRAINT api_request_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_request_minutes IS
'Rollup of api_request_log: requests by minute and endpoint. Written by roll_up_metrics(), read '
'through api_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.endpoint IS
'Route of the requests, or other for those beyond the endpoint_limit() busiest.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.requests IS 'Number of requests.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.errors IS
'Number of requests answered with a status of 500 or above.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.duration_microseconds IS
'Sum of the durations of all requests, in microseconds.';

-- object: rollup/api_duration_minutes.sql sha256=51c82f5c1fd45109cd4fdb01757f609e113dcca10a97c656c33185de720dd6c7
-- Rollup of api_request_log: the distribution of durations, in logarithmic buckets. Counts of
-- buckets can be added up, and percentiles computed from them are within two percent.
CREATE TABLE {{ internal_schema }}.api_duration_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    duration_bucket smallint NOT NULL,
    requests bigint NOT NULL,
    CONSTRAINT api_duration_minutes_pkey PRIMARY KEY (minute, endpoint, duration_bucket),
    CONSTRAINT api_duration_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_duration_minutes IS
'Rollup of api_request_log: requests by minute, endpoint and duration. Written by '
'roll_up_metrics(), read through api_durations().';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.endpoint IS
'Route of the requests, or other for those beyond the endpoint_limit() busiest.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.duration_bucket IS
'Number b of the bucket: durations above g ^ (b - 1) and up to g ^ b milliseconds, where g is '
'duration_bucket_growth().';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.requests IS 'Number of requests.';

-- object: rollup/system_identifier.sql sha256=eb94bdbe25c53a5964461393fd7e338ab0fcef135782de6a1e994d8bbd2745db
-- Some hosted servers do not allow pg_control_system(). There a restored database is recognised by
-- its transaction numbers alone.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.system_identifier()
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') THEN
        RETURN (SELECT control.system_identifier FROM pg_control_system() AS control);
    END IF;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.system_identifier() IS
'System identifier of this server, given by initdb; NULL where it may not be read.';

-- object: rollup/metric_watermarks.sql sha256=0049b7f38237aaca5649ffc797cac8d91533daeb99bf3a2d07c3575ec02b435e
-- How far each log has been rolled up. Rows of transactions below the watermark are in the rollups;
-- those at or above it are read from the log. Both are read in one snapshot, so that no event is
-- missed or counted twice, however late its transaction commits.
CREATE TABLE {{ internal_schema }}.metric_watermarks (
    log text NOT NULL,
    watermark xid8 NOT NULL DEFAULT '0',
    last_folded_id bigint NOT NULL DEFAULT 0,
    -- In a restored database: rows up to this id came with the dump and are all in the rollups.
    -- Their transaction numbers are those of another server and mean nothing here.
    restored_id bigint NOT NULL DEFAULT 0,
    system_identifier bigint,
    rolled_up_at timestamptz NOT NULL DEFAULT now(),
    advanced_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT metric_watermarks_pkey PRIMARY KEY (log),
    CONSTRAINT metric_watermarks_rolled_up_at_check CHECK (isfinite(rolled_up_at)),
    CONSTRAINT metric_watermarks_advanced_at_check CHECK (isfinite(advanced_at))
);

INSERT INTO {{ internal_schema }}.metric_watermarks (log, system_identifier)
SELECT
    logs.name,
    {{ internal_schema }}.system_identifier()
FROM {{ internal_schema }}.partitioned_logs() AS logs (name)
-- Changes by hand are not counted.
WHERE logs.name <> 'change_log';

COMMENT ON TABLE {{ internal_schema }}.metric_watermarks IS
'How far each log has been rolled up into the tables that the monitoring views read.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.log IS
'Name of the log, without the schema.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.watermark IS
'Transaction number: rows of the log whose xact_id is below it are in the rollups.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.last_folded_id IS
'Highest id of a row that is in the rollups.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.restored_id IS
'Rows up to this id were restored from another server and are all in the rollups; 0 where there '
'are none.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.system_identifier IS
'System identifier of the server that the watermark belongs to; NULL where it may not be read.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.rolled_up_at IS
'When the log was last rolled up, with or without new rows.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.advanced_at IS
'When the watermark last advanced. An open transaction holds it back.';

-- object: rollup/duration_bucket_growth.sql sha256=645028bd16d3b7c1e75cbdf07e5a27f3ce7db666aa4ea13a957b257f42ee54f4
-- Width of the buckets of durations, for the rollup and its readers. The bucket numbers in
-- api_duration_minutes are exponents of it: another value needs another table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.duration_bucket_growth()
RETURNS double precision
LANGUAGE sql
IMMUTABLE
RETURN 1.04::double precision;

COMMENT ON FUNCTION {{ internal_schema }}.duration_bucket_growth() IS
'Ratio between the upper ends of two successive buckets of durations. A percentile computed from '
'buckets is within half of their width, that is two percent.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.duration_bucket_growth() TO {{ monitor_role }};
{% endif %}

-- object: rollup/endpoint_limit.sql sha256=1eca5223ff2f86242494abc5da3605019bfa6b2cd9bb03cfae96491f4104771d
-- How many endpoints the rollup and the view keep by name. Names of endpoints come from outside,
-- and each becomes a label on a dashboard.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.endpoint_limit()
RETURNS integer
LANGUAGE sql
IMMUTABLE
RETURN 50;

COMMENT ON FUNCTION {{ internal_schema }}.endpoint_limit() IS
'Number of endpoints, the busiest, that keep their name in a minute of the rollup and in '
'api_endpoint_health. The rest are added up as other.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.endpoint_limit() TO {{ monitor_role }};
{% endif %}

-- object: rollup/window_start.sql sha256=85ebc6b63f134ec23ff90edc544df42195ba28050e48bdf95f9046eea0231269
-- Windows begin at whole minutes, which is the resolution of the rollups. Not date_trunc(), which
-- depends on the session's time zone: there are zones whose minutes begin at other seconds.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.window_start(p_length interval)
RETURNS timestamptz
LANGUAGE sql
STABLE
RETURN date_bin('1 minute', now() - p_length, '2000-01-01 00:00+00');

COMMENT ON FUNCTION {{ internal_schema }}.window_start(interval) IS
'Start of the window of this length up to now, for the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.window_start(interval) TO {{ monitor_role }};
{% endif %}

-- object: rollup/next_xact_id.sql sha256=92c2f250feb4e30c45e2f7a42f52d7a024aee1bb6a38b27f6cd52ad9afb14630
-- The type xid8 has no arithmetic.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.next_xact_id(p_xact_id xid8)
RETURNS xid8
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (p_xact_id::text::numeric + 1)::text::xid8;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.next_xact_id(xid8) IS
'The transaction number after this one.';

-- object: rollup/next_range.sql sha256=38caed0d24e848c8fbb1672923b2767afd5af9cf5f7ed58b8f3cb039440c8a57
-- For roll_up_metrics(): how far one run goes. Reads the log in the order of its index, and no
-- further than that: a backlog may be many times what one run may take.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.next_range(
    p_log text,
    p_from xid8,
    p_final xid8,
    p_after_id bigint,
    p_max_events integer,
    OUT below_xact_id xid8,
    OUT events bigint,
    OUT last_id bigint,
    OUT is_behind boolean
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
-- The planner would collect the whole backlog first, to sort or to hash it.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashagg = off
SET enable_sort = off
AS $body$
DECLARE
    v_transactions refcursor;
    v_xact_id xid8;
    v_events bigint;
    v_last_id bigint;
BEGIN
    below_xact_id := p_final;
    events := 0;
    is_behind := false;
    -- A cursor, because FOR would fetch fifty transactions ahead.
    OPEN v_transactions FOR EXECUTE format(
        'SELECT event.xact_id, count(*), max(event.id) FROM %I.%I AS event '
        'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3 '
        'GROUP BY event.xact_id ORDER BY event.xact_id',
        {{ schema | literal }}, p_log
    )
    USING p_from, p_final, p_after_id;
    LOOP
        FETCH v_transactions INTO v_xact_id, v_events, v_last_id;
        EXIT WHEN NOT FOUND;
        -- Transactions are taken whole, even one that is too large by itself.
        IF events > 0 AND events + v_events > p_max_events THEN
            below_xact_id := v_xact_id;
            is_behind := true;
            EXIT;
        END IF;
        events := events + v_events;
        last_id := GREATEST(last_id, v_last_id);
    END LOOP;
    CLOSE v_transactions;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.next_range(text, xid8, xid8, bigint, integer) IS
'The transactions of a log that one run of roll_up_metrics() takes: from p_from to below '
'below_xact_id, rows beyond p_after_id, at most p_max_events of them unless one transaction has '
'more; how many rows, the highest id among them, and whether more are final.';

-- object: rollup/is_restored_log.sql sha256=0bd3e81ddde31c4c83d9dd898f1c2ed44ee55e7c6f107b64f0b84b6a6c1185f8
-- Whether the watermark of a log is another server's, because the database was restored from a
-- dump. Until roll_up_metrics() has corrected that, new events may be missing from the views.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_restored_log(p_log text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Use the index on id to find the rows that are not rolled up.
SET enable_seqscan = off
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
    v_is_same_server boolean;
    v_is_restored boolean;
BEGIN
    SELECT mark.*
    INTO v_mark
    FROM {{ internal_schema }}.metric_watermarks AS mark
    WHERE mark.log = p_log;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF v_mark.watermark > pg_snapshot_xmax(pg_current_snapshot()) THEN
        RETURN true;
    END IF;
    v_is_same_server := v_mark.system_identifier = {{ internal_schema }}.system_identifier();
    IF v_is_same_server IS NOT NULL THEN
        RETURN NOT v_is_same_server;
    END IF;
    -- The system identifier is not readable. If the transaction counter of this server has passed
    -- the watermark since the restore, there are rows below the watermark that are newer than all
    -- rows rolled up.
    EXECUTE format(
        'WITH newer AS MATERIALIZED (SELECT event.xact_id FROM %I.%I AS event WHERE event.id > $1) '
        'SELECT EXISTS (SELECT FROM newer WHERE newer.xact_id < $2)',
        {{ schema | literal }}, p_log
    )
    INTO v_is_restored
    USING v_mark.last_folded_id, v_mark.watermark;
    RETURN v_is_restored;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.is_restored_log(text) IS
'Whether the watermark of a log was restored from another server, and roll_up_metrics() has not '
'run since; NULL for an unknown log. Used by the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.is_restored_log(text) TO {{ monitor_role }};
{% endif %}

-- object: rollup/log_tail.sql sha256=8f0a210328b05ce166f72e2ed65220cec4fe598a2093a5a033d2b1153ec5e65b
-- The rows of a log that are not rolled up yet, in the snapshot of the calling statement.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_tail(
    p_log text,
    OUT from_xact_id xid8,
    OUT below_xact_id xid8,
    OUT after_id bigint
)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    mark.watermark,
    CASE
        WHEN mark.restored_id = 0 THEN '18446744073709551615'::xid8
        -- Rows from another server may bear any transaction number. This bound skips those in the
        -- future.
        ELSE {{ internal_schema }}.next_xact_id(
            GREATEST(pg_snapshot_xmax(pg_current_snapshot()), pg_current_xact_id_if_assigned())
        )
    END,
    mark.restored_id
FROM {{ internal_schema }}.metric_watermarks AS mark
WHERE mark.log = p_log;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_tail(text) IS
'The range of a log that is not rolled up yet: rows with from_xact_id <= xact_id < below_xact_id '
'and id > after_id.';

-- object: rollup/reservation_events.sql sha256=2359acaf0dce8bb92505e19c43dd5c8893c43cdce1af7f4c5a055035aa835ec9
-- Counts the events of reservations in a range of the log. Used by the rollup and, for rows that
-- are not rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS SETOF {{ internal_schema }}.reservation_minutes
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        event.show_id,
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00'),
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
        count(hold.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')),
        COALESCE(
            sum(hold.microseconds) FILTER (WHERE event.event_type IN ('completed', 'expired')), 0
        )::bigint,
        count(hold.microseconds) FILTER (WHERE event.event_type = 'released'),
        COALESCE(sum(hold.microseconds) FILTER (WHERE event.event_type = 'released'), 0)::bigint
    FROM {{ schema }}.seat_reservation_audit_log AS event
    CROSS JOIN LATERAL (
        SELECT
            -- NaN, or more than three years, is not the duration of a hold.
            CASE
                WHEN event.hold_seconds BETWEEN -1e8 AND 1e8
                    THEN round(event.hold_seconds * 1e6)::bigint
            END AS microseconds
    ) AS hold
    CROSS JOIN LATERAL (
        -- Extending or releasing a reservation is not an attempt to reserve. A row that names no
        -- function counts as one: what is unknown must not make the success rate look better.
        SELECT starts_with(COALESCE(event.metadata ->> 'function', 'reserve_'), 'reserve_')
            AS is_attempt
    ) AS call
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
    GROUP BY
        GROUPING SETS ((event.show_id, 2), (2));
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_events(xid8, xid8, bigint) IS
'Events of reservations by minute, for each show and, with a show_id of NULL, for all of them, '
'from rows with p_from <= xact_id < p_below and id > p_after_id.';

-- object: rollup/error_events.sql sha256=1fcfe4d6de7566ebdb86c184b02e3659f1a41621fcfb0daea5c14363d04016f3
-- Counts the refused calls in a range of the log. Used by the rollup and, for rows that are not
-- rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS SETOF {{ internal_schema }}.error_minutes
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
        COALESCE(event.error_message, '(no message)') AS error_message,
        count(*),
        max(event.created_at)
    FROM {{ schema }}.seat_reservation_audit_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
        AND event.event_type = 'failed'
    GROUP BY
        1,
        2;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_events(xid8, xid8, bigint) IS
'Refused calls about reservations by minute and message, from rows with p_from <= xact_id < '
'p_below and id > p_after_id.';

-- object: rollup/extension_events.sql sha256=3b00a233b7714e041a69fc6a57ac6c8a854dda2f8a2e425ce555d28b81f77ec7
-- Counts the extended reservations in a range of the log. Used by the rollup and, for rows that are
-- not rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.extension_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    reservation_id uuid,
    quarter timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT DISTINCT
        event.reservation_id,
        date_bin('15 minutes', event.created_at, '2000-01-01 00:00+00')
    FROM {{ schema }}.seat_reservation_audit_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
        AND event.event_type = 'extended'
        AND event.reservation_id IS NOT NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.extension_events(xid8, xid8, bigint) IS
'Reservations extended by quarter of an hour, each once a quarter, from rows with p_from <= '
'xact_id < p_below and id > p_after_id.';

-- object: rollup/order_events.sql sha256=062a6c59be2edf9407e58a6e8b9071403152cb38e175219125f0cd231931d2d1
-- Counts orders, tickets and payment reports in a range of the log. Used by the rollup and, for
-- rows that are not rolled up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.order_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    minute timestamptz,
    currency text,
    orders bigint,
    failed_orders bigint,
    paid_orders bigint,
    revenue_in_cents bigint,
    tickets bigint,
    payments bigint
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
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
    FROM {{ schema }}.ticket_order_audit_log AS event
    CROSS JOIN LATERAL (
        VALUES
        (
            COALESCE(event.order_created_at, event.created_at),
            (event.old_status IS NULL)::integer,
            -- 1 for a change to the status, -1 for a change from it.
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
            -- Every report of a payment provider, including those that were refused here.
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
        -- A refused call counts only as a payment report, and only if it is one.
        AND (event.new_status IS NOT NULL OR figure.payments > 0)
    GROUP BY
        minute,
        COALESCE(event.currency, 'none');
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.order_events(xid8, xid8, bigint) IS
'Orders, tickets and payment reports by minute and currency, from rows with p_from <= xact_id < '
'p_below and id > p_after_id.';

-- object: rollup/api_request_events.sql sha256=88402cb671f67fcaec40d5a2e5bd2e2d609459f37c2c16857da4e4ed672dc5af
-- Counts the requests in a range of the log. Used by the rollup and, for rows that are not rolled
-- up yet, by its readers, so that both count by one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.api_request_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    minute timestamptz,
    endpoint text,
    duration_bucket smallint,
    requests bigint,
    errors bigint,
    duration_microseconds bigint
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        date_bin('1 minute', event.created_at, '2000-01-01 00:00+00') AS minute,
        event.endpoint,
        -- Durations are limited to between a microsecond and eleven days.
        ceil(
            ln(LEAST(GREATEST(event.duration_ms, 0.001), 1e9))
            / ln({{ internal_schema }}.duration_bucket_growth())
        )::smallint
        AS duration_bucket,
        count(*),
        count(*) FILTER (WHERE event.status_code >= 500),
        round(sum(LEAST(event.duration_ms, 1e9)) * 1000)::bigint
    FROM {{ schema }}.api_request_log AS event
    WHERE
        event.xact_id >= p_from
        AND event.xact_id < p_below
        AND event.id > p_after_id
    GROUP BY
        minute,
        event.endpoint,
        duration_bucket;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.api_request_events(xid8, xid8, bigint) IS
'Requests by minute, endpoint and logarithmic bucket of durations, from rows with p_from <= '
'xact_id < p_below and id > p_after_id.';

-- object: rollup/merge_minor_endpoints.sql sha256=26e3c7dd257ea23fc3c7f0f6de48cca05b0ecd209d918e1aa743bc46071dc2b4
-- Keeps the rollups of requests small, however many names of endpoints are sent: in each minute
-- with too many endpoints, the least busy ones become one, other. They are ranked by the hour up to
-- that minute, so that an address requested once does not displace one that is requested all the
-- time. Only names are lost: counts and buckets are added up.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.merge_minor_endpoints(p_minutes timestamptz[])
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $body$
WITH crowded AS MATERIALIZED (
    SELECT counted.minute
    FROM {{ internal_schema }}.api_request_minutes AS counted
    WHERE counted.minute = ANY(p_minutes)
    GROUP BY counted.minute
    HAVING
        count(*) FILTER (WHERE counted.endpoint <> 'other')
        > {{ internal_schema }}.endpoint_limit()
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
            FROM {{ internal_schema }}.api_request_minutes AS hour
            WHERE
                hour.minute > crowded.minute - interval '1 hour'
                AND hour.minute <= crowded.minute
                AND hour.endpoint <> 'other'
            GROUP BY hour.endpoint
            HAVING bool_or(hour.minute = crowded.minute)
        ) AS busy
    ) AS ranked
    WHERE ranked.place > {{ internal_schema }}.endpoint_limit()
),

requests AS (
    DELETE FROM {{ internal_schema }}.api_request_minutes AS counted
    USING minor
    WHERE
        counted.minute = minor.minute
        AND counted.endpoint = minor.endpoint
    RETURNING counted.*
),

durations AS (
    DELETE FROM {{ internal_schema }}.api_duration_minutes AS counted
    USING minor
    WHERE
        counted.minute = minor.minute
        AND counted.endpoint = minor.endpoint
    RETURNING counted.*
),

merged AS (
    INSERT INTO {{ internal_schema }}.api_request_minutes (
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

INSERT INTO {{ internal_schema }}.api_duration_minutes (minute, endpoint, duration_bucket, requests)
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.merge_minor_endpoints(timestamptz[]) IS
'Merges the endpoints of the given minutes that are not among the endpoint_limit() busiest into '
'other.';

-- object: rollup/fold_reservation_events.sql sha256=60d7f338fc244ddc3aa4c1dbacfe73f950042fb9170e65aa58a913b872286915
-- Adds a range of the log to its rollups. Called only through roll_up_metrics(), which knows which
-- ranges are final and not added yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_reservation_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ internal_schema }}.reservation_minutes AS kept
    SELECT event.*
    FROM {{ internal_schema }}.reservation_events(p_from, p_below, p_after_id) AS event
    -- Inserted in this order, rows that are read together are on the same pages.
    ORDER BY
        event.show_id,
        event.minute
    ON CONFLICT (show_id, minute) DO UPDATE SET
        created = kept.created + excluded.created,
        completed = kept.completed + excluded.completed,
        expired = kept.expired + excluded.expired,
        released = kept.released + excluded.released,
        extended = kept.extended + excluded.extended,
        failed = kept.failed + excluded.failed,
        failed_attempts = kept.failed_attempts + excluded.failed_attempts,
        race_conditions = kept.race_conditions + excluded.race_conditions,
        constraint_violations = kept.constraint_violations + excluded.constraint_violations,
        holds_ended = kept.holds_ended + excluded.holds_ended,
        hold_microseconds = kept.hold_microseconds + excluded.hold_microseconds,
        releases_ended = kept.releases_ended + excluded.releases_ended,
        release_microseconds = kept.release_microseconds + excluded.release_microseconds;

    INSERT INTO {{ internal_schema }}.error_minutes AS kept
    SELECT event.*
    FROM {{ internal_schema }}.error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT (minute, error_message) DO UPDATE SET
        occurrences = kept.occurrences + excluded.occurrences,
        last_seen_at = GREATEST(kept.last_seen_at, excluded.last_seen_at);

    -- An extension that commits late may lie between two that are counted already. So, for each
    -- reservation with a new quarter, all its old quarters are subtracted and all its quarters are
    -- added again.
    WITH new AS (
        INSERT INTO {{ internal_schema }}.extended_reservations (reservation_id, quarter)
        SELECT
            event.reservation_id,
            event.quarter
        FROM {{ internal_schema }}.extension_events(p_from, p_below, p_after_id) AS event
        ON CONFLICT DO NOTHING
        RETURNING
            extended_reservations.reservation_id,
            extended_reservations.quarter
    ),

    old AS (
        SELECT
            counted.reservation_id,
            counted.quarter
        FROM {{ internal_schema }}.extended_reservations AS counted
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

    INSERT INTO {{ internal_schema }}.extension_quarters (quarter, previous_quarter, reservations)
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_reservation_events(xid8, xid8, bigint) IS
'Adds a range of seat_reservation_audit_log to its rollups.';

-- object: rollup/fold_order_events.sql sha256=3fd5c20bf8e5a0c056ceadd64ca0a53093d2ade43cf75a67f31a92543a340bf1
-- Adds a range of the log to its rollup. Called only through roll_up_metrics(), which knows which
-- ranges are final and not added yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_order_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $body$
INSERT INTO {{ internal_schema }}.order_minutes (
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
FROM {{ internal_schema }}.order_events(p_from, p_below, p_after_id) AS event
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_order_events(xid8, xid8, bigint) IS
'Adds a range of ticket_order_audit_log to its rollup.';

-- object: rollup/fold_api_request_events.sql sha256=ae74d835607fc8e2c65f4bdbf5168e1d3e117d60dc79139d8b0d089fbf8f37e3
-- Adds a range of the log to its rollups. Called only through roll_up_metrics(), which knows which
-- ranges are final and not added yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_api_request_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
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
        FROM {{ internal_schema }}.api_request_events(p_from, p_below, p_after_id) AS event
    ),

    totals AS (
        INSERT INTO {{ internal_schema }}.api_request_minutes (
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
        INSERT INTO {{ internal_schema }}.api_duration_minutes (
            minute, endpoint, duration_bucket, requests
        )
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

    -- A separate statement, so that it sees the rows written above.
    PERFORM {{ internal_schema }}.merge_minor_endpoints(v_minutes);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_api_request_events(xid8, xid8, bigint) IS
'Adds a range of api_request_log to its rollups.';

-- object: rollup/fold_events.sql sha256=9618cc989dabd3276cf36fe109cd7d6e888d8eabc4149895c364650ef1c6583a
-- Dispatches to the function that adds the log to its rollups.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.fold_events(
    p_log text,
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    CASE p_log
        WHEN 'seat_reservation_audit_log' THEN
            PERFORM {{ internal_schema }}.fold_reservation_events(p_from, p_below, p_after_id);
        WHEN 'ticket_order_audit_log' THEN
            PERFORM {{ internal_schema }}.fold_order_events(p_from, p_below, p_after_id);
        WHEN 'api_request_log' THEN
            PERFORM {{ internal_schema }}.fold_api_request_events(p_from, p_below, p_after_id);
    END CASE;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_events(text, xid8, xid8, bigint) IS
'Adds a range of a log to its rollups: rows with p_from <= xact_id < p_below and id > p_after_id.';

-- object: rollup/adopt_restored_log.sql sha256=d9d52faaab7ed7f77bd30365d0aaeed0ac5bd68f26625409ec99cecf5ca31eec
-- Called by roll_up_metrics() after the database was restored from another server. The rows of the
-- log then bear that server's transaction numbers, and so does the watermark. The dump was one
-- snapshot, so what the rollups contain is right. Missing from them are the rows at or above the
-- watermark, and those written here since, which have higher ids than the last row that was added.
-- This adds both and records the last id: rows up to it are in the rollups, whatever their
-- transaction numbers.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.adopt_restored_log(p_log text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The lock blocks every call that writes to the log. Behind a long transaction, give up: the next
-- run tries again.
SET lock_timeout = '1s'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_mark {{ internal_schema }}.metric_watermarks;
    v_last_id bigint;
    v_folded bigint;
BEGIN
    SELECT mark.*
    INTO v_mark
    FROM {{ internal_schema }}.metric_watermarks AS mark
    WHERE mark.log = p_log;
    -- No transaction is writing under this lock: each row up to the last id is visible now or
    -- never.
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

    PERFORM {{ internal_schema }}.fold_events(
        p_log, v_mark.watermark, '18446744073709551615'::xid8, v_mark.restored_id
    );
    PERFORM {{ internal_schema }}.fold_events(
        p_log, '0'::xid8, v_mark.watermark, v_mark.last_folded_id
    );
    UPDATE {{ internal_schema }}.metric_watermarks
    SET
        watermark = pg_snapshot_xmin(pg_current_snapshot()),
        last_folded_id = v_last_id,
        restored_id = v_last_id,
        system_identifier = {{ internal_schema }}.system_identifier(),
        rolled_up_at = clock_timestamp(),
        advanced_at = clock_timestamp()
    WHERE metric_watermarks.log = p_log;
    RETURN v_folded;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.adopt_restored_log(text) IS
'Adds the rows of a restored log that are not in its rollups yet, and sets the watermark to this '
'server''s transaction numbers. Returns how many rows it added. Blocks writers of the log '
'meanwhile.';

-- object: rollup/roll_up_metrics.sql sha256=44b22d5e2b85ea0a47de26f031f66695012c4295307b20583fbbfad3e3b9d7f5
-- Scheduled every minute. Adds final rows of the logs to the rollups: those of transactions that
-- every later snapshot sees as ended. A call is one transaction: if it fails, nothing has changed,
-- and the views read a longer tail of the log.
CREATE OR REPLACE FUNCTION {{ schema }}.roll_up_metrics(p_max_events integer DEFAULT 500000)
RETURNS TABLE (log text, events_folded bigint, is_behind boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The planner cannot know that new rows are few. Rows of a restored log may be many or few; the
-- functions that read them are planned for the actual range.
SET enable_seqscan = off
ROWS 3
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
    v_below xid8;
    v_last_id bigint;
BEGIN
    IF p_max_events IS NULL OR p_max_events < 1 THEN
        RAISE EXCEPTION 'p_max_events must be at least 1, not %',
            COALESCE(p_max_events::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    FOR log IN SELECT logs.name FROM {{ internal_schema }}.partitioned_logs() AS logs (name) LOOP
        SELECT mark.*
        INTO v_mark
        FROM {{ internal_schema }}.metric_watermarks AS mark
        WHERE mark.log = roll_up_metrics.log
        FOR UPDATE SKIP LOCKED;
        -- Another session is rolling it up.
        CONTINUE WHEN NOT FOUND;

        IF {{ internal_schema }}.is_restored_log(log) THEN
            events_folded := {{ internal_schema }}.adopt_restored_log(log);
            is_behind := false;
            RETURN NEXT;
            CONTINUE;
        END IF;

        SELECT
            next_range.below_xact_id,
            next_range.events,
            next_range.last_id,
            next_range.is_behind
        INTO
            v_below,
            events_folded,
            v_last_id,
            is_behind
        FROM {{ internal_schema }}.next_range(
            log, v_mark.watermark, pg_snapshot_xmin(pg_current_snapshot()), v_mark.restored_id,
            p_max_events
        );
        IF events_folded > 0 THEN
            PERFORM {{ internal_schema }}.fold_events(
                log, v_mark.watermark, v_below, v_mark.restored_id
            );
        END IF;
        UPDATE {{ internal_schema }}.metric_watermarks
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
$body$;

COMMENT ON FUNCTION {{ schema }}.roll_up_metrics(integer) IS
'Adds new rows of the logs to the tables that the monitoring views read, about p_max_events of '
'each log at most. Returns for each log how many rows were added, and whether more are waiting.';

-- object: rollup/reservation_metrics.sql sha256=176f2c84525100881ae8879277187842d0c33c521e69fcd359835da05abe980e
-- Read by the views of reservations: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_metrics(
    p_since timestamptz,
    p_show_id uuid DEFAULT NULL
)
RETURNS SETOF {{ internal_schema }}.reservation_minutes
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 1500
AS $body$
BEGIN
    RETURN QUERY
    SELECT rolled_up.*
    FROM {{ internal_schema }}.reservation_minutes AS rolled_up
    WHERE
        p_show_id IS NULL
        AND rolled_up.show_id IS NULL
        AND rolled_up.minute >= p_since
    UNION ALL
    SELECT rolled_up.*
    FROM {{ internal_schema }}.reservation_minutes AS rolled_up
    WHERE
        rolled_up.show_id = p_show_id
        AND rolled_up.minute >= p_since
    UNION ALL
    SELECT recent.*
    FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
    CROSS JOIN LATERAL {{ internal_schema }}.reservation_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE
        recent.show_id IS NOT DISTINCT FROM p_show_id
        AND recent.minute >= p_since;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_metrics(timestamptz, uuid) IS
'Events of reservations since p_since, of one show or of all, by minute. Rows are to be added up: '
'a minute may have several.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_metrics(
    timestamptz, uuid
) TO {{ monitor_role }};
{% endif %}

-- object: rollup/order_metrics.sql sha256=eb61d19e2bbf9d8b2e37b7123b8f0485770f2de10edd3aed783af446516a129c
-- Read by the views of orders: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.order_metrics(p_since timestamptz)
RETURNS TABLE (
    minute timestamptz,
    currency text,
    orders bigint,
    failed_orders bigint,
    paid_orders bigint,
    revenue_in_cents bigint,
    tickets bigint,
    payments bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 1500
AS $body$
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
    FROM {{ internal_schema }}.order_minutes AS rolled_up
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
    FROM {{ internal_schema }}.log_tail('ticket_order_audit_log') AS tail
    CROSS JOIN LATERAL {{ internal_schema }}.order_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE recent.minute >= p_since;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.order_metrics(timestamptz) IS
'Orders, tickets and payment reports since p_since, by minute and currency. Rows are to be added '
'up: a minute may have several. A change of status counts in the minute in which the order was '
'created, with its sign.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.order_metrics(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: rollup/api_metrics.sql sha256=ff84ea258f120b84b31de85f1f7179b65345099f2bf8538bf9428d9e9b61e014
-- Read by the views of endpoints: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.api_metrics(p_since timestamptz)
RETURNS TABLE (
    endpoint text,
    requests bigint,
    errors bigint,
    duration_microseconds bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 100
AS $body$
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
        FROM {{ internal_schema }}.api_request_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT
            recent.endpoint,
            recent.requests,
            recent.errors,
            recent.duration_microseconds
        FROM {{ internal_schema }}.log_tail('api_request_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.api_request_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS counted
    GROUP BY counted.endpoint;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.api_metrics(timestamptz) IS
'Requests since p_since, by endpoint: requests, those answered with a status of 500 or above, and '
'the sum of their durations in microseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.api_metrics(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: rollup/api_durations.sql sha256=9c25d5eb932e690889da2b95bb090cb523730e390d0eec42df1ed048f565bd42
-- Read by api_endpoint_health, for its percentiles: the minutes in the rollup and the rows of the
-- log that are not rolled up yet. Within one statement both come from its snapshot, so that no
-- event is missed or counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.api_durations(p_since timestamptz)
RETURNS TABLE (
    endpoint text,
    duration_bucket smallint,
    requests bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 1000
AS $body$
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
        FROM {{ internal_schema }}.api_duration_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT
            recent.endpoint,
            recent.duration_bucket,
            recent.requests
        FROM {{ internal_schema }}.log_tail('api_request_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.api_request_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS counted
    GROUP BY
        counted.endpoint,
        counted.duration_bucket;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.api_durations(timestamptz) IS
'Requests since p_since, by endpoint and bucket of durations. Bucket b ends at '
'duration_bucket_growth() ^ b milliseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.api_durations(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: rollup/error_metrics.sql sha256=5932893d993d70cfa51af29136aebaf5a57224f1235c075331a0e7b064bdf2bc
-- Read by the views of errors: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_metrics(p_since timestamptz, p_limit integer)
RETURNS TABLE (
    error_message text,
    occurrences bigint,
    last_seen_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 10
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        minutes.error_message,
        sum(minutes.occurrences)::bigint,
        max(minutes.last_seen_at)
    FROM (
        SELECT rolled_up.*
        FROM {{ internal_schema }}.error_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT recent.*
        FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.error_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS minutes
    GROUP BY minutes.error_message
    ORDER BY
        2 DESC,
        3 DESC,
        1
    LIMIT p_limit;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_metrics(timestamptz, integer) IS
'The p_limit most frequent error messages of refused calls about reservations since p_since: how '
'often each occurred, and when last.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.error_metrics(
    timestamptz, integer
) TO {{ monitor_role }};
{% endif %}

-- object: rollup/extension_metrics.sql sha256=9a9122071b0e9d0edbed638cdec4bb5e59c88098666d6d513828135059caa1db
-- Read by the views of extensions: what is in the rollups and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.extension_metrics(p_days integer)
RETURNS TABLE (
    day date,
    extensions bigint,
    unique_reservations bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 7
AS $body$
BEGIN
    RETURN QUERY
    WITH days AS (
        SELECT
            this.zone,
            this.today - n.days_ago AS day,
            -- A range that contains the day in any time zone.
            (this.today - n.days_ago - 1)::timestamp AT TIME ZONE 'UTC' AS earliest,
            (this.today - n.days_ago + 2)::timestamp AT TIME ZONE 'UTC' AS latest
        FROM (
            SELECT
                settings.business_time_zone AS zone,
                (now() AT TIME ZONE settings.business_time_zone)::date AS today
            FROM {{ schema }}.ticketing_settings AS settings
        ) AS this
        CROSS JOIN generate_series(0, p_days - 1) AS n (days_ago)
    ),

    extended AS (
        SELECT
            (metric.minute AT TIME ZONE settings.business_time_zone)::date AS day,
            sum(metric.extended)::bigint AS extensions
        FROM {{ schema }}.ticketing_settings AS settings
        CROSS JOIN LATERAL {{ internal_schema }}.reservation_metrics(
            now() - make_interval(hours => 24 * (p_days + 1))
        ) AS metric
        -- A wrong clock may have written times so late that they have no date in some time zones.
        WHERE metric.minute < now() + interval '2 days'
        GROUP BY 1
    ),

    recently AS (
        SELECT DISTINCT
            recent.reservation_id,
            (recent.quarter AT TIME ZONE settings.business_time_zone)::date AS day
        FROM {{ schema }}.ticketing_settings AS settings
        CROSS JOIN LATERAL {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.extension_events(
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
                FROM {{ internal_schema }}.extended_reservations AS before
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
        FROM {{ internal_schema }}.extension_quarters AS counted
        WHERE
            counted.quarter >= days.earliest
            AND counted.quarter < days.latest
            AND (counted.quarter AT TIME ZONE days.zone)::date = days.day
            AND (counted.previous_quarter AT TIME ZONE days.zone)::date < days.day
    ) AS rolled_up;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.extension_metrics(integer) IS
'Extensions by day for the last p_days days in business_time_zone, today included: the number of '
'extensions, and of different reservations extended.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.extension_metrics(integer) TO {{ monitor_role }};
{% endif %}

-- object: rollup/get_reservation_statistics.sql sha256=20d6192c64515efe9eb2310f7d9dd5003c2f65dd066b6e4c2b9c8b26d708433b
-- Counts of reservation events in the last hours, for one show or for all.
CREATE OR REPLACE FUNCTION {{ schema }}.get_reservation_statistics(
    p_show_id uuid DEFAULT NULL,
    p_hours integer DEFAULT 24
)
-- A set, although always one row: REST layers return sets as arrays, and the client in the
-- operations guide takes the first element.
RETURNS TABLE (
    total_created bigint,
    total_completed bigint,
    total_expired bigint,
    total_released bigint,
    total_extended bigint,
    total_failed bigint,
    avg_hold_seconds double precision,
    expiration_rate double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 1
AS $body$
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
        FROM {{ internal_schema }}.reservation_metrics(
            {{ internal_schema }}.window_start(make_interval(hours => p_hours)), p_show_id
        ) AS metric
    ) AS counts;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_reservation_statistics(uuid, integer) IS
'Counts of reservation events in the last p_hours hours (1 to 8760, otherwise error 22023), of '
'one show or of all. expiration_rate is expired / created, 0 when nothing was created; '
'avg_hold_seconds is NULL when no hold ended.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_reservation_statistics(uuid, integer)
TO {{ app_role }}, {{ monitor_role }};
{% endif %}

-- object: monitoring/current_violations.sql sha256=330724f00866859a6bdc346eaff415601e7b99d8270efc96afee0cab29b61ccc
-- The invariants, each as a count of what violates it. Used by check_invariants(), verify, the demo
-- and the tests. Every table is read once and hashed, in the order written here: with statistics
-- gathered on a quiet night, the planner would compare every hold with every seat.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.current_violations()
RETURNS TABLE (invariant text, violations bigint, description text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_mergejoin = off
SET join_collapse_limit = 1
SET jit = off
ROWS 14
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
        'Live claims of active reservations whose seat is not reserved by them until expires_at.'
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
        'Paid orders whose tickets, refunded ones too, do not match their seats or their amount.'
    FROM {{ schema }}.ticket_orders AS paid
    LEFT JOIN (
        SELECT
            ticket.order_id,
            ticket.show_id,
            array_agg(ticket.show_seat_id ORDER BY ticket.show_seat_id) AS seat_ids,
            sum(ticket.price_in_cents) AS total
        FROM {{ schema }}.tickets AS ticket
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
        'Payments that neither paid their order nor have a row in refunds.'
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
        'Orders in status refund_due without a due refund of their amount.'
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
        'Orders whose refunded amount differs from their refunds or, if refunded, their amount.'
    FROM {{ schema }}.ticket_orders AS paid
    LEFT JOIN (
        SELECT
            refund.order_id,
            refund.show_id,
            sum(refund.amount_in_cents) AS total
        FROM {{ schema }}.refunds AS refund
        WHERE
            -- Those were paid in addition to the amount of the order.
            refund.reason NOT IN ('double_payment', 'amount_mismatch')
            -- An order that bought no tickets is refunded when its money has gone back.
            AND (refund.status = 'done' OR refund.ticket_ids <> '{}')
        GROUP BY
            refund.order_id,
            refund.show_id
    ) AS returned ON returned.order_id = paid.id AND returned.show_id = paid.show_id
    WHERE
        paid.refunded_amount_in_cents <> COALESCE(returned.total, 0)
        OR paid.status = 'refunded'
        AND paid.refunded_amount_in_cents <> paid.total_amount_in_cents
    UNION ALL
    SELECT
        'money_adds_up',
        count(*),
        'Orders of which the money received is not that in tickets, returned or due together.'
    FROM (
        SELECT
        FROM (
            SELECT
                came.order_id,
                came.show_id,
                came.amount_in_cents
            FROM {{ schema }}.payment_events AS came
            WHERE
                came.kind = 'payment'
                AND came.amount_in_cents > 0
            UNION ALL
            SELECT
                ticket.order_id,
                ticket.show_id,
                -ticket.price_in_cents
            FROM {{ schema }}.tickets AS ticket
            WHERE ticket.status <> 'refunded'
            UNION ALL
            SELECT
                refund.order_id,
                refund.show_id,
                -refund.amount_in_cents
            FROM {{ schema }}.refunds AS refund
        ) AS money
        GROUP BY
            money.order_id,
            money.show_id
        HAVING sum(money.amount_in_cents) <> 0
    ) AS orders;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.current_violations() IS
'Invariants and the number of violations of each, counted now. Reads all seats and reservations.';

-- object: monitoring/last_invariant_check.sql sha256=d5c7a4291f4ceff2682b7ad539fcffeca32c2ef52086c8250811a73afbc8b076
-- The last result of check_invariants(). Counting reads all seats and reservations, which is too
-- much for a view that is polled.
CREATE TABLE {{ internal_schema }}.last_invariant_check (
    invariant text NOT NULL,
    violations bigint NOT NULL,
    description text NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT last_invariant_check_pkey PRIMARY KEY (invariant),
    CONSTRAINT last_invariant_check_checked_at_check CHECK (isfinite(checked_at))
);

COMMENT ON TABLE {{ internal_schema }}.last_invariant_check IS
'The last result of check_invariants(), for the views invariant_violations and health.';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.invariant IS
'Name of the invariant, as in current_violations().';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.violations IS 'Number of violations.';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.description IS
'What is counted as a violation.';
COMMENT ON COLUMN {{ internal_schema }}.last_invariant_check.checked_at IS
'When they were counted.';

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
