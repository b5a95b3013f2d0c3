-- 0007: Exact rollups of the logs.
-- A template, frozen by `ticketdb revision`.

-- object: rollup/reservation_minutes.sql sha256=8124cde9748c4ea5806b4cc0ffe10fed40003d1ad23bcc8f4651814ff97a59db
-- Rollup of seat_reservation_audit_log: what happened to holds, all shows together.
CREATE TABLE {{ internal_schema }}.reservation_minutes (
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
    CONSTRAINT reservation_minutes_pkey PRIMARY KEY (minute),
    CONSTRAINT reservation_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes IS
'Events of seat_reservation_audit_log a minute. Written by roll_up_metrics(), read through '
'reservation_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.created IS 'Holds created.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.completed IS 'Holds completed: sold.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.expired IS 'Holds expired.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.released IS
'Releases, partial ones included.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.extended IS 'Extensions.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed IS 'Refused calls.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed_attempts IS
'Those of them that were to reserve seats.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.race_conditions IS
'Refused attempts to reserve that met another customer: seats taken, or busy.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.constraint_violations IS
'Refused calls that a constraint of the database stopped.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.holds_ended IS
'Completed and expired holds whose length is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.hold_microseconds IS
'Their length together, in microseconds: whole numbers add up exactly.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.releases_ended IS
'Released holds whose length is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.release_microseconds IS
'Their length together, in microseconds.';
COMMENT ON CONSTRAINT reservation_minutes_pkey ON {{ internal_schema }}.reservation_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT reservation_minutes_minute_check
ON {{ internal_schema }}.reservation_minutes IS
'Finite.';

-- object: rollup/reservation_show_minutes.sql sha256=56f6fddf8add2ee0b330be254adc82193779c8c0b985b73db116efa33084444d
-- The same a show, apart from the sum: minutes times shows are many rows, and the dashboards of the
-- house must not read them.
CREATE TABLE {{ internal_schema }}.reservation_show_minutes (
    show_id uuid NOT NULL,
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
    CONSTRAINT reservation_show_minutes_pkey PRIMARY KEY (show_id, minute),
    CONSTRAINT reservation_show_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.reservation_show_minutes IS
'Events of seat_reservation_audit_log a show and minute. Written by roll_up_metrics(), read '
'through reservation_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.show_id IS
'The show, or the nil UUID where the caller named none.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.created IS 'Holds created.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.completed IS
'Holds completed: sold.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.expired IS 'Holds expired.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.released IS
'Releases, partial ones included.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.extended IS 'Extensions.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.failed IS 'Refused calls.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.failed_attempts IS
'Those of them that were to reserve seats.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.race_conditions IS
'Refused attempts to reserve that met another customer: seats taken, or busy.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.constraint_violations IS
'Refused calls that a constraint of the database stopped.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.holds_ended IS
'Completed and expired holds whose length is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.hold_microseconds IS
'Their length together, in microseconds: whole numbers add up exactly.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.releases_ended IS
'Released holds whose length is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_show_minutes.release_microseconds IS
'Their length together, in microseconds.';
COMMENT ON CONSTRAINT reservation_show_minutes_pkey
ON {{ internal_schema }}.reservation_show_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT reservation_show_minutes_minute_check
ON {{ internal_schema }}.reservation_show_minutes IS
'Finite.';

-- object: rollup/error_messages.sql sha256=aea46013bcd5c1a213049e74fee231e984074ee65ebe6e859e31e17bf64e9213
-- The words of error_minutes, once: they may be long.
CREATE TABLE {{ internal_schema }}.error_messages (
    message_sha256 bytea NOT NULL,
    error_message text NOT NULL,
    CONSTRAINT error_messages_pkey PRIMARY KEY (message_sha256)
);

COMMENT ON TABLE {{ internal_schema }}.error_messages IS
'Messages of refused calls. Written by roll_up_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.error_messages.message_sha256 IS
'SHA-256 of the message: an index takes no long texts.';
COMMENT ON COLUMN {{ internal_schema }}.error_messages.error_message IS 'The message.';
COMMENT ON CONSTRAINT error_messages_pkey ON {{ internal_schema }}.error_messages IS
'Each message once.';

-- object: rollup/error_minutes.sql sha256=5a336a9bc82f2a949f2570bf4c15f429f3def1b3ebb49763cbefaff92f5bb180
-- Rollup of the refused calls in seat_reservation_audit_log by their words.
CREATE TABLE {{ internal_schema }}.error_minutes (
    minute timestamptz NOT NULL,
    message_sha256 bytea NOT NULL,
    occurrences bigint NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT error_minutes_pkey PRIMARY KEY (minute, message_sha256),
    CONSTRAINT error_minutes_last_seen_at_check CHECK (isfinite(last_seen_at)),
    CONSTRAINT error_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

-- For purge_history(): which messages are used no more.
CREATE INDEX error_minutes_message_sha256_idx ON {{ internal_schema }}.error_minutes (
    message_sha256
);

COMMENT ON TABLE {{ internal_schema }}.error_minutes IS
'Refused calls a minute and message. Written by roll_up_metrics(), read through error_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.message_sha256 IS
'Which message: see error_messages.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.occurrences IS 'How often.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.last_seen_at IS 'The latest.';
COMMENT ON CONSTRAINT error_minutes_pkey ON {{ internal_schema }}.error_minutes IS
'Rows are told apart.';
COMMENT ON INDEX {{ internal_schema }}.error_minutes_message_sha256_idx IS
'Serves purge_history().';
COMMENT ON CONSTRAINT error_minutes_minute_check ON {{ internal_schema }}.error_minutes IS
'Finite.';
COMMENT ON CONSTRAINT error_minutes_last_seen_at_check ON {{ internal_schema }}.error_minutes IS
'Finite.';

-- object: rollup/extended_reservations.sql sha256=120d034cdbfd46feae3017907c7d32c2b011fbb8f0fa2ac3f1c634aa4b80bfdf
-- What extension_quarters was counted from, for as long as its days are shown.
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
'Which reservations were extended in which quarter of an hour, of the last days. Written by '
'roll_up_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.reservation_id IS 'The reservation.';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.quarter IS 'The quarter of an hour.';
COMMENT ON CONSTRAINT extended_reservations_pkey ON {{ internal_schema }}.extended_reservations IS
'Each is counted once a quarter.';
COMMENT ON INDEX {{ internal_schema }}.extended_reservations_quarter_idx IS
'Serves purge_history().';
COMMENT ON CONSTRAINT extended_reservations_quarter_check
ON {{ internal_schema }}.extended_reservations IS
'Finite.';

-- object: rollup/extension_quarters.sql sha256=a4d017e0a34ead0627c320ee0bbec32f813b97804799b8abc709326bdbef047e
-- How many reservations were extended on a day cannot be added up from hours: some were extended
-- twice. It can, where it is known when each was extended before. Quarters of an hour, because
-- every time zone begins its days at one.
CREATE TABLE {{ internal_schema }}.extension_quarters (
    quarter timestamptz NOT NULL,
    previous_quarter timestamptz NOT NULL,
    reservations bigint NOT NULL,
    CONSTRAINT extension_quarters_pkey PRIMARY KEY (quarter, previous_quarter),
    CONSTRAINT extension_quarters_previous_quarter_check CHECK (isfinite(previous_quarter)),
    CONSTRAINT extension_quarters_quarter_check CHECK (isfinite(quarter))
);

COMMENT ON TABLE {{ internal_schema }}.extension_quarters IS
'Reservations extended in a quarter of an hour, by when they were extended before. Written by '
'roll_up_metrics(), read through extension_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.quarter IS 'The quarter of an hour.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.previous_quarter IS
'The last quarter before this one in which the same reservations were extended; 1970 where there '
'was none.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.reservations IS 'How many reservations.';
COMMENT ON CONSTRAINT extension_quarters_pkey ON {{ internal_schema }}.extension_quarters IS
'Rows are told apart.';
COMMENT ON CONSTRAINT extension_quarters_quarter_check
ON {{ internal_schema }}.extension_quarters IS
'Finite.';
COMMENT ON CONSTRAINT extension_quarters_previous_quarter_check
ON {{ internal_schema }}.extension_quarters IS
'Finite.';

-- object: rollup/order_minutes.sql sha256=ae3ec23b75840785c8147a55acafff44014d7334e8b14a150f295ace30cf8722
-- Rollup of ticket_order_audit_log. What became of an order is added to the minute that it was
-- created in, and taken off again when it changes: the rows say how things stand.
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
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.order_minutes IS
'Orders and tickets a minute and currency. Written by roll_up_metrics(), read through '
'order_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.minute IS 'The minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.currency IS
'ISO 4217 code; none where a refused call named no order.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.orders IS 'Orders created in this minute.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.failed_orders IS
'Those of them whose payment has failed, as things stand.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.paid_orders IS
'Those of them that are paid, as things stand.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.revenue_in_cents IS
'What those that are paid brought, in the minor unit of the currency.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.tickets IS
'Tickets issued in this minute, whenever they were ordered.';
COMMENT ON COLUMN {{ internal_schema }}.order_minutes.payments IS
'What payment providers reported in this minute: payments, failures, and what was refused of '
'them.';
COMMENT ON CONSTRAINT order_minutes_pkey ON {{ internal_schema }}.order_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT order_minutes_minute_check ON {{ internal_schema }}.order_minutes IS
'Finite.';

-- object: rollup/api_request_minutes.sql sha256=6a82f0e56f4a40845f83586c58a61e468741770a78b4a5f6a662d7c0f860451f
-- Rollup of api_request_log: what answered, how often and how long it took in all.
CREATE TABLE {{ internal_schema }}.api_request_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    duration_microseconds bigint NOT NULL,
    CONSTRAINT api_request_minutes_pkey PRIMARY KEY (minute, endpoint),
    CONSTRAINT api_request_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_request_minutes IS
'Requests a minute and endpoint. Written by roll_up_metrics(), read through api_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.endpoint IS 'Route of the request.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.requests IS 'Requests.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.errors IS
'Those answered with a status of 500 or above.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.duration_microseconds IS
'How long they took together, in microseconds.';
COMMENT ON CONSTRAINT api_request_minutes_pkey ON {{ internal_schema }}.api_request_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT api_request_minutes_minute_check
ON {{ internal_schema }}.api_request_minutes IS
'Finite.';

-- object: rollup/api_duration_minutes.sql sha256=4edac8e067c9bc8fb451666a2a0d4bbc6c9f9dc255dd571b90cd75775f4fa6ae
-- Rollup of api_request_log: how the durations are spread. They are told to within two per cent by
-- logarithmic buckets: percentiles can be added up from those.
CREATE TABLE {{ internal_schema }}.api_duration_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    duration_bucket smallint NOT NULL,
    requests bigint NOT NULL,
    CONSTRAINT api_duration_minutes_pkey PRIMARY KEY (minute, endpoint, duration_bucket),
    CONSTRAINT api_duration_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_duration_minutes IS
'Requests a minute, endpoint and duration. Written by roll_up_metrics(), read through '
'api_durations().';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.endpoint IS 'Route of the request.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.duration_bucket IS
'Durations of up to duration_bucket_growth() ^ bucket milliseconds, and longer than those of the '
'bucket before.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.requests IS 'Requests.';
COMMENT ON CONSTRAINT api_duration_minutes_pkey ON {{ internal_schema }}.api_duration_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT api_duration_minutes_minute_check
ON {{ internal_schema }}.api_duration_minutes IS
'Finite.';

-- object: rollup/system_identifier.sql sha256=88d9713a25a346b36740ff8e394ae641f093f25aebe71c6df6c7acd9f54f749b
-- Some hosts keep the function to themselves: then only a watermark in the future tells of a
-- restored database.
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
'Number that initdb gave to this server, or NULL where it may not be read. Internal.';

-- object: rollup/metric_watermarks.sql sha256=386e206c1efa361ad6ac4b0e7783dc81609083d53738c24a409f7ec47617e333
-- How far each log has been rolled up. Rows of transactions below the watermark are in the rollups,
-- and those at or above it are read from the log: one snapshot sees both, so that no event is
-- missed or counted twice, whatever commits late.
CREATE TABLE {{ internal_schema }}.metric_watermarks (
    log text NOT NULL,
    watermark xid8 NOT NULL DEFAULT '0',
    last_folded_id bigint NOT NULL DEFAULT 0,
    -- Of a restored database: rows up to here came with it and were all folded. The transaction
    -- numbers that they bear are those of another server and mean nothing here.
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
-- Nothing is counted of what is changed by hand.
WHERE logs.name <> 'change_log';

COMMENT ON TABLE {{ internal_schema }}.metric_watermarks IS
'How far each log has been rolled up into the tables that the monitoring views read.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.log IS
'Name of the log, without the schema.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.watermark IS
'Rows of the log whose xact_id is below this are in the rollups.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.last_folded_id IS
'Highest id of a row that is in the rollups.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.restored_id IS
'Rows up to this id came with a dump of another server and are all in the rollups; 0 where there '
'are none.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.system_identifier IS
'The server that the watermark belongs to; NULL where it does not tell.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.rolled_up_at IS
'When the log was last rolled up, whether or not there was anything to do.';
COMMENT ON COLUMN {{ internal_schema }}.metric_watermarks.advanced_at IS
'When the watermark last moved: an open transaction holds it back.';
COMMENT ON CONSTRAINT metric_watermarks_pkey ON {{ internal_schema }}.metric_watermarks IS
'One row a log.';
COMMENT ON CONSTRAINT metric_watermarks_rolled_up_at_check
ON {{ internal_schema }}.metric_watermarks IS
'Finite.';
COMMENT ON CONSTRAINT metric_watermarks_advanced_at_check
ON {{ internal_schema }}.metric_watermarks IS
'Finite.';

-- object: rollup/duration_bucket_growth.sql sha256=dfd983f64252e5b249e363362152f42e093b29a07ab156fb0f25b158acca96e9
-- How wide the buckets of durations are, for those who fill them and those who read them. Rows of
-- api_duration_minutes bear its powers: another value needs another table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.duration_bucket_growth()
RETURNS double precision
LANGUAGE sql
IMMUTABLE
RETURN 1.04::double precision;

COMMENT ON FUNCTION {{ internal_schema }}.duration_bucket_growth() IS
'Each bucket of durations ends at so many times the end of the one before: what is read from them '
'is within half of that, two percent.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.duration_bucket_growth() TO {{ monitor_role }};
{% endif %}

-- object: rollup/endpoint_limit.sql sha256=661ef8474e6f89d0b217e1e3f21ebcd72d285a77b8ad6f0a49d839768f772f71
-- How many endpoints are told apart, for the rollup and for the view: the busiest. Their names come
-- from outside, and each is a label of somebody's dashboard.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.endpoint_limit()
RETURNS integer
LANGUAGE sql
IMMUTABLE
RETURN 50;

COMMENT ON FUNCTION {{ internal_schema }}.endpoint_limit() IS
'So many endpoints, the busiest, keep their name in a minute of the rollup and in '
'api_endpoint_health; the rest are added up as "other".';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.endpoint_limit() TO {{ monitor_role }};
{% endif %}

-- object: rollup/window_start.sql sha256=da62e47a7e311fe42107f63157eab2c7b3b4e593009281d2b5e39291b9ba5d84
-- Windows begin at whole minutes: those are what the rollups can tell apart. Not date_trunc():
-- there are time zones whose minutes begin elsewhere, and a session may be in one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.window_start(p_length interval)
RETURNS timestamptz
LANGUAGE sql
STABLE
RETURN date_bin('1 minute', now() - p_length, '2000-01-01 00:00+00');

COMMENT ON FUNCTION {{ internal_schema }}.window_start(interval) IS
'Beginning of the window of this length up to now, in a view of the metrics.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.window_start(interval) TO {{ monitor_role }};
{% endif %}

-- object: rollup/next_xact_id.sql sha256=40e674c4bd5d34f937cad34a2d26f4f2dd395010dc27fef1038bd9a95664fcbb
-- There is no arithmetic for xid8.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.next_xact_id(p_xact_id xid8)
RETURNS xid8
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (p_xact_id::text::numeric + 1)::text::xid8;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.next_xact_id(xid8) IS
'The transaction number after this one. Internal.';

-- object: rollup/nth_xact_id.sql sha256=df9547771adeb58e000c46f72d14730984c45754fbe113f59d7c666a45817976
-- For the bound of what one run of roll_up_metrics() takes on.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.nth_xact_id(
    p_log text,
    p_from xid8,
    p_below xid8,
    p_after_id bigint,
    p_rows_before integer
)
RETURNS xid8
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_xact_id xid8;
BEGIN
    EXECUTE format(
        'SELECT event.xact_id FROM %I.%I AS event '
        'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3 '
        'ORDER BY event.xact_id OFFSET $4 LIMIT 1',
        {{ schema | literal }},
        p_log
    )
    INTO v_xact_id
    USING p_from, p_below, p_after_id, p_rows_before;
    RETURN v_xact_id;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.nth_xact_id(text, xid8, xid8, bigint, integer) IS
'Transaction of the row that has so many before it among the transactions from p_from to below '
'p_below of a log, rows beyond p_after_id; NULL where there are fewer. Internal.';

-- object: rollup/is_restored_log.sql sha256=5ca8f1eaea048f4aa4bcea7fbf24d2d73aa6255ca02de94352691cd9ad5358db
-- Whether the watermark is another server's. Until roll_up_metrics() has seen to it, new events may
-- be missing from the views.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.is_restored_log(p_log text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- What is not rolled up is found by its ids.
SET enable_seqscan = off
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
    v_is_same_server boolean;
    v_is_restored boolean;
BEGIN
    SELECT mark.* INTO v_mark FROM {{ internal_schema }}.metric_watermarks AS mark WHERE mark.log = p_log;
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
    -- Nobody knows. The counter of this server may have passed the watermark since: then there are
    -- lines below it that are newer than all that was rolled up.
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
'Whether the watermark of a log came with a dump of another server, and roll_up_metrics() has not '
'run since. For the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.is_restored_log(text) TO {{ monitor_role }};
{% endif %}

-- object: rollup/log_tail.sql sha256=bd920c4dcccc5a68498c9156257d87e239b81a4425f0e0143c3ac21b14f0c856
-- What of a log is not rolled up yet, as the snapshot of the caller's statement has it.
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
        -- Rows of another server may bear any number: what is beyond the present need not be read.
        ELSE {{ internal_schema }}.next_xact_id(
            GREATEST(pg_snapshot_xmax(pg_current_snapshot()), pg_current_xact_id_if_assigned())
        )
    END,
    mark.restored_id
FROM {{ internal_schema }}.metric_watermarks AS mark
WHERE mark.log = p_log;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_tail(text) IS
'The part of a log that is not rolled up yet: transactions from from_xact_id to below '
'below_xact_id, rows beyond after_id. Internal.';

-- object: rollup/reservation_events.sql sha256=020fdf98ba4470ed3579127387ffce2393a51caf875ba2443caefd64acf2a7d2
-- What a range of the log comes to: for the rollup, and for those who read what is not rolled up
-- yet. Both count by this one definition.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    show_id uuid,
    minute timestamptz,
    created bigint,
    completed bigint,
    expired bigint,
    released bigint,
    extended bigint,
    failed bigint,
    failed_attempts bigint,
    race_conditions bigint,
    constraint_violations bigint,
    holds_ended bigint,
    hold_microseconds bigint,
    releases_ended bigint,
    release_microseconds bigint
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
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
    FROM {{ schema }}.seat_reservation_audit_log AS event
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_events(xid8, xid8, bigint) IS
'Events of holds a show and minute, of the transactions from p_from to below p_below, rows beyond '
'p_after_id. Internal.';

-- object: rollup/error_events.sql sha256=09f28416b9fdf5caa4783bef20a9d354167b3b541009e5cd2890d3a11533e2ed
-- What a range of the log comes to: for the rollup, and for those who read what is not rolled up
-- yet.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_events(
    p_from xid8,
    p_below xid8,
    p_after_id bigint
)
RETURNS TABLE (
    minute timestamptz,
    message_sha256 bytea,
    error_message text,
    occurrences bigint,
    last_seen_at timestamptz
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 100
AS $body$
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
        FROM {{ schema }}.seat_reservation_audit_log AS event
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_events(xid8, xid8, bigint) IS
'Refused calls about holds a minute and message, of the transactions from p_from to below '
'p_below, rows beyond p_after_id. Internal.';

-- object: rollup/extension_events.sql sha256=f522a015490428cce6c2d487c39f623a9a3de7b32d3d5c495db444e99589f9a1
-- What a range of the log comes to: for the rollup, and for those who read what is not rolled up
-- yet.
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
'Reservations extended, a quarter of an hour, of the transactions from p_from to below p_below, '
'rows beyond p_after_id. Internal.';

-- object: rollup/order_events.sql sha256=58416fa52be61bcfaf1f94d6e52297302bf4c43c5efa5d718860d7a52da4d572
-- What a range of the log comes to: for the rollup, and for those who read what is not rolled up
-- yet.
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.order_events(xid8, xid8, bigint) IS
'Orders, tickets and payments a minute and currency, of the transactions from p_from to below '
'p_below, rows beyond p_after_id. Internal.';

-- object: rollup/api_request_events.sql sha256=86bfdd7976f8b6dd82da7c6360961d8df0f41565f09b25dbf6d05a9724afb258
-- What a range of the log comes to: for the rollup, and for those who read what is not rolled up
-- yet.
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
        -- From a microsecond to eleven days.
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
'Requests a minute, endpoint and logarithmic bucket of durations, of the transactions from p_from '
'to below p_below, rows beyond p_after_id. Internal.';

-- object: rollup/merge_minor_endpoints.sql sha256=a305482e1fc7c934e70b920c876b0cc7a19d258bae39c8216ae79cc5176d3bdf
-- Keeps the rollups of requests bounded, whatever names are sent: of each minute that has too many
-- endpoints, those that are least busy become one. What counts is the hour up to it, so that an
-- address that is asked for once does not stand beside one that is asked for all the time. Nothing
-- is lost but names: sums and buckets are added up.
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
    HAVING count(*) FILTER (WHERE counted.endpoint <> 'other') > {{ internal_schema }}.endpoint_limit()
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
'Adds up as "other" those endpoints of these minutes of the rollups that are not among the '
'busiest. Internal.';

-- object: rollup/fold_reservation_events.sql sha256=174df1c508052a2e182ce1aa33fed580032ca2a71c0c9fcac030597706fd5d44
-- Adds a range of the log to its rollups. Nobody but roll_up_metrics() calls this: it knows which
-- ranges are final and have not been added yet.
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
    WITH events AS MATERIALIZED (
        SELECT event.*
        FROM {{ internal_schema }}.reservation_events(p_from, p_below, p_after_id) AS event
    ),

    of_shows AS (
        INSERT INTO {{ internal_schema }}.reservation_show_minutes (
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

    INSERT INTO {{ internal_schema }}.reservation_minutes (
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

    INSERT INTO {{ internal_schema }}.error_messages (message_sha256, error_message)
    SELECT DISTINCT
        event.message_sha256,
        event.error_message
    FROM {{ internal_schema }}.error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT DO NOTHING;

    INSERT INTO {{ internal_schema }}.error_minutes (minute, message_sha256, occurrences, last_seen_at)
    SELECT
        event.minute,
        event.message_sha256,
        event.occurrences,
        event.last_seen_at
    FROM {{ internal_schema }}.error_events(p_from, p_below, p_after_id) AS event
    ON CONFLICT (minute, message_sha256) DO UPDATE SET
        occurrences = error_minutes.occurrences + excluded.occurrences,
        last_seen_at = GREATEST(error_minutes.last_seen_at, excluded.last_seen_at);

    -- Late ones may come between two that are counted already: of each reservation that has a new
    -- quarter, all its quarters are taken off and put on again.
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
'Adds a part of seat_reservation_audit_log to its rollups. Internal.';

-- object: rollup/fold_order_events.sql sha256=96b47cd25afcabc61cf75b7e2a97501685513ad69f0d30440792a59fdb6234da
-- Adds a range of the log to its rollup. Nobody but roll_up_metrics() calls this: it knows which
-- ranges are final and have not been added yet.
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
'Adds a part of ticket_order_audit_log to its rollup. Internal.';

-- object: rollup/fold_api_request_events.sql sha256=84d7d9976047ca0e47da1fbd26a9424164e8cf57d79971d9760b8cf7dd27c3c1
-- Adds a range of the log to its rollups. Nobody but roll_up_metrics() calls this: it knows which
-- ranges are final and have not been added yet.
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
        INSERT INTO {{ internal_schema }}.api_duration_minutes (minute, endpoint, duration_bucket, requests)
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
    PERFORM {{ internal_schema }}.merge_minor_endpoints(v_minutes);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.fold_api_request_events(xid8, xid8, bigint) IS
'Adds a part of api_request_log to its rollups. Internal.';

-- object: rollup/fold_events.sql sha256=3fa8cd9a20c9fc8e43d4b40783b036e225ec58cea1096ecb207a2856c79eeeb4
-- Which log is folded by what.
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
'Adds the transactions from p_from to below p_below of a log, rows beyond p_after_id, to its '
'rollups. Internal.';

-- object: rollup/adopt_restored_log.sql sha256=584208a74a4d2864ced96d964bb9a74b941d2c0a129d929f8d13ddeea88f6c79
-- A restored database brings rows that bear another server's transaction numbers, and a watermark
-- among those. The dump was one snapshot, so what is in the rollups is right. What is not in them
-- is what the watermark says, and whatever was written here since. From here on that is told by id.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.adopt_restored_log(p_log text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- While it is locked nobody sells; behind a long transaction we give up, and try again next time.
SET lock_timeout = '1s'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_mark {{ internal_schema }}.metric_watermarks;
    v_last_id bigint;
    v_folded bigint;
BEGIN
    SELECT mark.* INTO v_mark FROM {{ internal_schema }}.metric_watermarks AS mark WHERE mark.log = p_log;
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
'Makes the rollup of a log that came with a dump of another server go on from here; returns how '
'many rows were not in it yet. Locks the log against writers for a moment. Internal.';

-- object: rollup/roll_up_metrics.sql sha256=be215b830f4ff774ffc4f3e9148bb21fe2df3b8232b289ee929746d7af1e25b5
-- Scheduled every minute. Adds what is final to the rollups: rows of transactions that every
-- snapshot from now on sees as ended. Everything is one transaction; if it fails nothing has
-- happened, and the views read a longer tail of the log.
CREATE OR REPLACE FUNCTION {{ schema }}.roll_up_metrics(p_max_events integer DEFAULT 500000)
RETURNS TABLE (log text, events_folded bigint, is_behind boolean)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The planner would not know that what is new is little. What is restored is folded by its actual
-- values: it may be most of the log, or next to nothing.
SET enable_seqscan = off
ROWS 3
AS $body$
DECLARE
    v_mark {{ internal_schema }}.metric_watermarks;
    v_final xid8;
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
        -- Somebody else is at it.
        CONTINUE WHEN NOT FOUND;

        IF {{ internal_schema }}.is_restored_log(log) THEN
            events_folded := {{ internal_schema }}.adopt_restored_log(log);
            is_behind := false;
            RETURN NEXT;
            CONTINUE;
        END IF;

        v_final := pg_snapshot_xmin(pg_current_snapshot());
        v_below := {{ internal_schema }}.nth_xact_id(
            log, v_mark.watermark, v_final, v_mark.restored_id, p_max_events
        );
        -- A transaction that is too much all by itself is taken whole.
        IF v_below = {{ internal_schema }}.nth_xact_id(
            log, v_mark.watermark, v_final, v_mark.restored_id, 0
        ) THEN
            v_below := {{ internal_schema }}.next_xact_id(v_below);
        END IF;
        v_below := COALESCE(v_below, v_final);
        is_behind := {{ internal_schema }}.nth_xact_id(
            log, v_below, v_final, v_mark.restored_id, 0
        ) IS NOT NULL;

        EXECUTE format(
            'SELECT count(*), max(event.id) FROM %I.%I AS event '
            'WHERE event.xact_id >= $1 AND event.xact_id < $2 AND event.id > $3',
            {{ schema | literal }}, log
        )
        INTO
            events_folded,
            v_last_id
        USING v_mark.watermark, v_below, v_mark.restored_id;
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
'Adds new rows of the logs to the tables that the monitoring views read, at most about '
'p_max_events of each log; returns how many of which, and whether there are more.';

-- object: rollup/reservation_metrics.sql sha256=9b3f73f299781165e3dfe4e0ceb7ae1868457ff1d7da8855e2d525e2c121087e
-- What the views of reservations read: minutes that are rolled up, and the rest of the log. Called
-- within one statement, both come from its snapshot: no event is missed or counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_metrics(
    p_since timestamptz,
    p_show_id uuid DEFAULT NULL
)
RETURNS TABLE (
    minute timestamptz,
    created bigint,
    completed bigint,
    expired bigint,
    released bigint,
    extended bigint,
    failed bigint,
    failed_attempts bigint,
    race_conditions bigint,
    constraint_violations bigint,
    holds_ended bigint,
    hold_microseconds bigint,
    releases_ended bigint,
    release_microseconds bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
SET jit = off
ROWS 1500
AS $body$
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
    FROM {{ internal_schema }}.reservation_minutes AS rolled_up
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
    FROM {{ internal_schema }}.reservation_show_minutes AS of_show
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
    FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
    CROSS JOIN LATERAL {{ internal_schema }}.reservation_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE
        recent.minute >= p_since
        AND (p_show_id IS NULL OR recent.show_id = p_show_id);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_metrics(timestamptz, uuid) IS
'Events of holds from p_since on, of one show or all: rows of a minute each, to be added up; a '
'minute may have several.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_metrics(
    timestamptz, uuid
) TO {{ monitor_role }};
{% endif %}

-- object: rollup/order_metrics.sql sha256=9ca275dbaded05348b1b283a1e260a5382f9de8b4173fd665e88cbbaf58aab86
-- What the views of orders read: minutes that are rolled up, and the rest of the log, in one
-- snapshot.
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
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
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
'Orders, tickets and payments from p_since on: rows of a minute and currency each, to be added '
'up. A change of an order counts, with its sign, in the minute of its creation.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.order_metrics(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: rollup/api_metrics.sql sha256=c1dc6a9351dec798624acadb24f69d29ff548c713b79992b08a02c3dfcb6b589
-- What the views of endpoints read: minutes that are rolled up, and the rest of the log, in one
-- snapshot.
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
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
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
'Requests from p_since on, a row for each endpoint.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.api_metrics(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: rollup/api_durations.sql sha256=84894582370f2b9ad0216c5020f946ecdaba612fca00a7985bc2484e37a6d885
-- What percentiles of durations are made from: minutes that are rolled up, and the rest of the log,
-- in one snapshot.
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
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
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
'Requests from p_since on, a row for each endpoint and bucket of durations: up to '
'duration_bucket_growth() ^ bucket milliseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.api_durations(timestamptz) TO {{ monitor_role }};
{% endif %}

-- object: rollup/error_metrics.sql sha256=d8cdc4caa02390896b62825bc7bb1006aa231325a46ba89c3485a60658cfcc55
-- What the views of errors read: minutes that are rolled up, and the rest of the log, in one
-- snapshot.
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
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
SET jit = off
ROWS 10
AS $body$
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
            FROM {{ internal_schema }}.error_minutes AS rolled_up
            WHERE rolled_up.minute >= p_since
            UNION ALL
            SELECT
                recent.message_sha256,
                recent.error_message,
                recent.occurrences,
                recent.last_seen_at
            FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
            CROSS JOIN LATERAL {{ internal_schema }}.error_events(
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
    LEFT JOIN {{ internal_schema }}.error_messages AS message
        ON message.message_sha256 = top.message_sha256;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_metrics(timestamptz, integer) IS
'The p_limit most frequent messages of refused calls about holds from p_since on, how often they '
'came and when last.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.error_metrics(
    timestamptz, integer
) TO {{ monitor_role }};
{% endif %}

-- object: rollup/extension_metrics.sql sha256=373b589607c1eb85bb565edf0cdc2da0bdb75c28007dc44436073e9048373a0c
-- What the views of extensions read: minutes that are rolled up, and the rest of the log, in one
-- snapshot.
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
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
SET jit = off
ROWS 7
AS $body$
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
        -- A clock that was wrong may have written of days that have no date in other zones.
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
'Extensions of the last p_days days of the business time zone, today included, and how many '
'different reservations they were about.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.extension_metrics(integer) TO {{ monitor_role }};
{% endif %}

-- object: rollup/get_reservation_statistics.sql sha256=a05625e7cf15bfedef7be68813184ab6edde4fa2a0c9c6650198f840f447770a
-- Counts of the last hours, for one show or all.
CREATE OR REPLACE FUNCTION {{ schema }}.get_reservation_statistics(
    p_show_id uuid DEFAULT NULL,
    p_hours integer DEFAULT 24
)
-- A set, although always one row: REST layers hand sets out as arrays, and the guide's client takes
-- the first element.
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
'Events of the last p_hours hours (1 to 8760, otherwise error 22023), of one show or of all. '
'expiration_rate is expired / created, 0 when nothing was created; avg_hold_seconds is NULL when '
'no hold ended.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_reservation_statistics(uuid, integer)
TO {{ app_role }}, {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
