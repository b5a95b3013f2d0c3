-- 0005: Append-only logs in monthly partitions.
-- A template, frozen by `ticketdb revision`.

-- object: tables/seat_reservation_audit_log.sql sha256=9db7b3e7614305f033e8281cd1e7a5dfb83ad6c4fb434f9a7beb3ad6163fb496
-- What happened to holds, in order. Written by a trigger on seat_reservations, and by the functions
-- where they refuse.
CREATE TABLE {{ schema }}.seat_reservation_audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    event_type text NOT NULL,
    reservation_id uuid,
    show_id uuid NOT NULL,
    session_id text,
    seat_count integer NOT NULL DEFAULT 0,
    seat_ids uuid[] NOT NULL DEFAULT '{}',
    error_code text,
    error_message text,
    user_agent text,
    ip_address inet,
    metadata jsonb NOT NULL DEFAULT '{}',
    hold_seconds double precision,
    -- Epochs of the rollup: rows below the xmin of a snapshot are final. See the decision on exact
    -- rollups.
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT seat_reservation_audit_log_pkey PRIMARY KEY (id, show_id, created_at),
    CONSTRAINT seat_reservation_audit_log_event_type_check
    CHECK (event_type IN ('created', 'extended', 'released', 'expired', 'completed', 'failed')),
    CONSTRAINT seat_reservation_audit_log_created_at_check CHECK (isfinite(created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: a summary per megabyte finds a window, at next to no cost
-- for those who write.
CREATE INDEX seat_reservation_audit_log_created_at_idx
ON {{ schema }}.seat_reservation_audit_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX seat_reservation_audit_log_xact_id_idx
ON {{ schema }}.seat_reservation_audit_log (xact_id);

-- Row triggers reach the partitions by themselves; TRUNCATE of one partition needs a trigger there,
-- which maintain_partitions() adds. ENABLE ALWAYS: session_replication_role = replica does not get
-- around them.
CREATE TRIGGER seat_reservation_audit_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.seat_reservation_audit_log
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER seat_reservation_audit_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.seat_reservation_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'purge_history() drops what is past retention.'
);

ALTER TABLE {{ schema }}.seat_reservation_audit_log
ENABLE ALWAYS TRIGGER seat_reservation_audit_log_append_only;
ALTER TABLE {{ schema }}.seat_reservation_audit_log
ENABLE ALWAYS TRIGGER seat_reservation_audit_log_no_truncate;

COMMENT ON TABLE {{ schema }}.seat_reservation_audit_log IS
'Append-only log of holds, one month a partition. The source of every reservation metric.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.event_type IS
'created, extended, released, expired, completed, or failed: a call was refused.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.reservation_id IS
'The reservation; NULL where none came about.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.show_id IS
'The show, or the nil UUID where the caller named none. No foreign key: nothing may delete from '
'here.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.session_id IS
'The session of the caller, cut to 200 characters.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.seat_count IS
'How many seats it was about.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.seat_ids IS
'Which seats; the first 100 of a call that was refused.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.error_code IS
'Of failed: why, as returned to the caller.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.error_message IS
'Of failed: why, in words, as returned to the caller.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.user_agent IS
'Browser of the buyer. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.ip_address IS
'Address of the buyer. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.metadata IS
'Further facts: function (which call was refused), late, partial, sqlstate, detail.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.hold_seconds IS
'How long the hold lasted, in seconds, on the event that ended it.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.xact_id IS
'The transaction that wrote the row, for the exact rollup.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.created_at IS
'Start of the transaction that wrote the row; the partition key.';
COMMENT ON CONSTRAINT seat_reservation_audit_log_pkey ON {{ schema }}.seat_reservation_audit_log IS
'Rows are told apart.';
COMMENT ON CONSTRAINT seat_reservation_audit_log_event_type_check
ON {{ schema }}.seat_reservation_audit_log IS
'The events there are.';
COMMENT ON CONSTRAINT seat_reservation_audit_log_created_at_check
ON {{ schema }}.seat_reservation_audit_log IS
'Finite.';
COMMENT ON INDEX {{ schema }}.seat_reservation_audit_log_created_at_idx IS
'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.seat_reservation_audit_log_xact_id_idx IS
'Serves the rollup, and those who read what is not rolled up yet.';
COMMENT ON TRIGGER seat_reservation_audit_log_append_only
ON {{ schema }}.seat_reservation_audit_log IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER seat_reservation_audit_log_no_truncate
ON {{ schema }}.seat_reservation_audit_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    id, event_type, reservation_id, show_id, seat_count, seat_ids, error_code, error_message,
    hold_seconds, xact_id, created_at
) ON TABLE {{ schema }}.seat_reservation_audit_log TO {{ monitor_role }};
{% endif %}

-- object: tables/ticket_order_audit_log.sql sha256=a72fbf1d0222a340d18c12a244b40db12a756eb2084ed1520eac5f1b001f2457
-- What happened to orders, in order. Written by a trigger on ticket_orders, and by the functions
-- where they refuse.
CREATE TABLE {{ schema }}.ticket_order_audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
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
    order_created_at timestamptz,
    error_code text,
    error_message text,
    metadata jsonb NOT NULL DEFAULT '{}',
    -- Epochs of the rollup: rows below the xmin of a snapshot are final. See the decision on exact
    -- rollups.
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ticket_order_audit_log_pkey PRIMARY KEY (id, show_id, created_at),
    CONSTRAINT ticket_order_audit_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_order_audit_log_order_created_at_check CHECK (isfinite(order_created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: a summary per megabyte finds a window, at next to no cost
-- for those who write.
CREATE INDEX ticket_order_audit_log_created_at_idx
ON {{ schema }}.ticket_order_audit_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX ticket_order_audit_log_xact_id_idx ON {{ schema }}.ticket_order_audit_log (xact_id);

-- Row triggers reach the partitions by themselves; TRUNCATE of one partition needs a trigger there,
-- which maintain_partitions() adds. ENABLE ALWAYS: session_replication_role = replica does not get
-- around them.
CREATE TRIGGER ticket_order_audit_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.ticket_order_audit_log
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER ticket_order_audit_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.ticket_order_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'purge_history() drops what is past retention.'
);

ALTER TABLE {{ schema }}.ticket_order_audit_log
ENABLE ALWAYS TRIGGER ticket_order_audit_log_append_only;
ALTER TABLE {{ schema }}.ticket_order_audit_log
ENABLE ALWAYS TRIGGER ticket_order_audit_log_no_truncate;

COMMENT ON TABLE {{ schema }}.ticket_order_audit_log IS
'Append-only log of orders, one month a partition: a row for each change of status and each '
'refused call.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.order_id IS
'The order; NULL where none came about.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.reservation_id IS
'The reservation that it pays for.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.show_id IS
'The show, or the nil UUID where the caller named none. No foreign key: nothing may delete from '
'here.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.session_id IS
'The session of the caller, where one was given, cut to 200 characters.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.old_status IS
'Status before; NULL for a new order.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.new_status IS
'Status after; NULL where the call was refused.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.amount_in_cents IS
'The amount of the order, or the amount that was refused, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.seat_count IS
'How many seats the order is about; NULL where a call was refused.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.order_created_at IS
'When the order was created; NULL where a call was refused.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.payment_provider IS 'Who takes the money.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.error_code IS
'Why a call was refused, as returned to the caller.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.error_message IS
'Why a call was refused or a payment failed, in words.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.metadata IS
'Further facts: function (which call was refused), event_id, sqlstate, detail.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.xact_id IS
'The transaction that wrote the row, for the exact rollup.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.created_at IS
'Start of the transaction that wrote the row; the partition key.';
COMMENT ON CONSTRAINT ticket_order_audit_log_pkey ON {{ schema }}.ticket_order_audit_log IS
'Rows are told apart.';
COMMENT ON CONSTRAINT ticket_order_audit_log_created_at_check
ON {{ schema }}.ticket_order_audit_log IS
'Finite.';
COMMENT ON CONSTRAINT ticket_order_audit_log_order_created_at_check
ON {{ schema }}.ticket_order_audit_log IS
'Finite.';
COMMENT ON INDEX {{ schema }}.ticket_order_audit_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.ticket_order_audit_log_xact_id_idx IS
'Serves the rollup, and those who read what is not rolled up yet.';
COMMENT ON TRIGGER ticket_order_audit_log_append_only ON {{ schema }}.ticket_order_audit_log IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER ticket_order_audit_log_no_truncate ON {{ schema }}.ticket_order_audit_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    id, order_id, reservation_id, show_id, old_status, new_status, amount_in_cents, currency,
    seat_count, payment_provider, order_created_at, error_code, xact_id, created_at
) ON TABLE {{ schema }}.ticket_order_audit_log TO {{ monitor_role }};
{% endif %}

-- object: tables/api_request_log.sql sha256=b574604921f3ef260cfa207ea17956220bdc74f0ad5027cd5b8d8f94bfae2504
-- How the shop's endpoints answered, for the System Health dashboard. Written by log_api_request().
CREATE TABLE {{ schema }}.api_request_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    endpoint text NOT NULL,
    method text NOT NULL,
    status_code integer NOT NULL,
    duration_ms double precision NOT NULL,
    -- Epochs of the rollup: rows below the xmin of a snapshot are final. See the decision on exact
    -- rollups.
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_request_log_pkey PRIMARY KEY (id, created_at),
    CONSTRAINT api_request_log_endpoint_check CHECK (length(endpoint) BETWEEN 1 AND 200),
    CONSTRAINT api_request_log_method_check CHECK (method ~ '^[A-Z]{1,20}$'),
    CONSTRAINT api_request_log_status_code_check CHECK (status_code BETWEEN 100 AND 599),
    CONSTRAINT api_request_log_duration_ms_check
    CHECK (duration_ms >= 0 AND duration_ms < 'Infinity'),
    CONSTRAINT api_request_log_created_at_check CHECK (isfinite(created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: a summary per megabyte finds a window, at next to no cost
-- for those who write.
CREATE INDEX api_request_log_created_at_idx
ON {{ schema }}.api_request_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX api_request_log_xact_id_idx ON {{ schema }}.api_request_log (xact_id);

-- Row triggers reach the partitions by themselves; TRUNCATE of one partition needs a trigger there,
-- which maintain_partitions() adds. ENABLE ALWAYS: session_replication_role = replica does not get
-- around them.
CREATE TRIGGER api_request_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.api_request_log
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER api_request_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.api_request_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'purge_history() drops what is past retention.'
);

ALTER TABLE {{ schema }}.api_request_log ENABLE ALWAYS TRIGGER api_request_log_append_only;
ALTER TABLE {{ schema }}.api_request_log ENABLE ALWAYS TRIGGER api_request_log_no_truncate;

COMMENT ON TABLE {{ schema }}.api_request_log IS
'Append-only log of API requests, one month a partition.';
COMMENT ON COLUMN {{ schema }}.api_request_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.api_request_log.endpoint IS
'The route, with placeholders in place of ids: each distinct value becomes a label.';
COMMENT ON COLUMN {{ schema }}.api_request_log.method IS 'HTTP method.';
COMMENT ON COLUMN {{ schema }}.api_request_log.status_code IS 'HTTP status.';
COMMENT ON COLUMN {{ schema }}.api_request_log.duration_ms IS 'How long it took, in milliseconds.';
COMMENT ON COLUMN {{ schema }}.api_request_log.xact_id IS
'The transaction that wrote the row, for the exact rollup.';
COMMENT ON COLUMN {{ schema }}.api_request_log.created_at IS
'Start of the transaction that wrote the row; the partition key.';
COMMENT ON CONSTRAINT api_request_log_pkey ON {{ schema }}.api_request_log IS
'Rows are told apart.';
COMMENT ON CONSTRAINT api_request_log_endpoint_check ON {{ schema }}.api_request_log IS
'Not empty, bounded.';
COMMENT ON CONSTRAINT api_request_log_method_check ON {{ schema }}.api_request_log IS
'Capital letters.';
COMMENT ON CONSTRAINT api_request_log_status_code_check ON {{ schema }}.api_request_log IS
'An HTTP status.';
COMMENT ON CONSTRAINT api_request_log_duration_ms_check ON {{ schema }}.api_request_log IS
'A finite time.';
COMMENT ON CONSTRAINT api_request_log_created_at_check ON {{ schema }}.api_request_log IS 'Finite.';
COMMENT ON INDEX {{ schema }}.api_request_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.api_request_log_xact_id_idx IS
'Serves the rollup, and those who read what is not rolled up yet.';
COMMENT ON TRIGGER api_request_log_append_only ON {{ schema }}.api_request_log IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER api_request_log_no_truncate ON {{ schema }}.api_request_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.api_request_log TO {{ monitor_role }};
{% endif %}

-- object: tables/change_log.sql sha256=48fb1394b4ada6c3f0be34e578a1281ee1219e000cd454239f4d0e20a1ca5f33
-- What was changed by hand: every change of a business row that none of our functions has made, and
-- that no other log tells. Written by triggers; for a DBA who asks who did what, and when.
CREATE TABLE {{ schema }}.change_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    table_name text NOT NULL,
    operation text NOT NULL,
    row_key jsonb NOT NULL,
    rows_changed bigint NOT NULL DEFAULT 1,
    old_values jsonb,
    new_values jsonb,
    session_role text NOT NULL DEFAULT session_user,
    -- The log is written by a function that runs as its owner, so that current_user would say
    -- nothing.
    acting_role text NOT NULL
    DEFAULT COALESCE(NULLIF(current_setting('role'), 'none'), session_user),
    application_name text NOT NULL DEFAULT current_setting('application_name'),
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT change_log_pkey PRIMARY KEY (id, created_at),
    CONSTRAINT change_log_operation_check CHECK (operation IN ('insert', 'update', 'delete')),
    CONSTRAINT change_log_rows_changed_check CHECK (rows_changed > 0),
    CONSTRAINT change_log_created_at_check CHECK (isfinite(created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: a summary per megabyte finds a window, at next to no cost
-- for those who write.
CREATE INDEX change_log_created_at_idx
ON {{ schema }}.change_log USING brin (created_at) WITH (autosummarize = on);

-- Row triggers reach the partitions by themselves; TRUNCATE of one partition needs a trigger there,
-- which maintain_partitions() adds. ENABLE ALWAYS: session_replication_role = replica does not get
-- around them.
CREATE TRIGGER change_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.change_log
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER change_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.change_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'purge_history() drops what is past retention.'
);

ALTER TABLE {{ schema }}.change_log ENABLE ALWAYS TRIGGER change_log_append_only;
ALTER TABLE {{ schema }}.change_log ENABLE ALWAYS TRIGGER change_log_no_truncate;

COMMENT ON TABLE {{ schema }}.change_log IS
'Append-only log of changes by hand, one month a partition: who changed which row of shows, seats, '
'holds, orders, tickets, settings or alert rules, from what to what. It outlives the erasure of '
'personal data: such values are only said to have changed.';
COMMENT ON COLUMN {{ schema }}.change_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.change_log.table_name IS 'The table, without its schema.';
COMMENT ON COLUMN {{ schema }}.change_log.operation IS 'insert, update or delete.';
COMMENT ON COLUMN {{ schema }}.change_log.row_key IS
'The key of the row, before an update: its columns by name. The show alone where seats were added.';
COMMENT ON COLUMN {{ schema }}.change_log.rows_changed IS
'How many rows the line is about: 1, or how many seats one statement added to a show.';
COMMENT ON COLUMN {{ schema }}.change_log.old_values IS
'What an update replaced or a delete removed, by column; *** for what is personal or secret.';
COMMENT ON COLUMN {{ schema }}.change_log.new_values IS
'What an update or an insert put there, by column; *** for what is personal or secret.';
COMMENT ON COLUMN {{ schema }}.change_log.session_role IS 'The role that logged in.';
COMMENT ON COLUMN {{ schema }}.change_log.acting_role IS
'The role that it had taken with SET ROLE, or the same.';
COMMENT ON COLUMN {{ schema }}.change_log.application_name IS
'What the client called itself, such as psql.';
COMMENT ON COLUMN {{ schema }}.change_log.xact_id IS
'The transaction: changes made together bear the same number.';
COMMENT ON COLUMN {{ schema }}.change_log.created_at IS
'Start of the transaction that made the change; the partition key.';
COMMENT ON CONSTRAINT change_log_pkey ON {{ schema }}.change_log IS 'Rows are told apart.';
COMMENT ON CONSTRAINT change_log_operation_check ON {{ schema }}.change_log IS
'The operations there are; TRUNCATE is refused.';
COMMENT ON CONSTRAINT change_log_rows_changed_check ON {{ schema }}.change_log IS
'A line is about something.';
COMMENT ON CONSTRAINT change_log_created_at_check ON {{ schema }}.change_log IS 'Finite.';
COMMENT ON INDEX {{ schema }}.change_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON TRIGGER change_log_append_only ON {{ schema }}.change_log IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER change_log_no_truncate ON {{ schema }}.change_log IS 'Refuses TRUNCATE.';

-- object: functions/partitioned_logs.sql sha256=d033343b8f9e58e6ab04ecad24400a804bf66821d76c2d896f8bf189fbceaacb
-- The tables that are cut by month. One list for making partitions and for dropping them.
CREATE OR REPLACE FUNCTION {{ schema }}.partitioned_logs()
RETURNS SETOF text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
ROWS 4
AS $body$
VALUES
('seat_reservation_audit_log'), ('ticket_order_audit_log'), ('api_request_log'), ('change_log');
$body$;

COMMENT ON FUNCTION {{ schema }}.partitioned_logs() IS
'Names of the tables that have a partition a month, without the schema.';

-- object: functions/log_horizon.sql sha256=198e8b65f521f37737dd6bcd05264da9a08c7754a15153587c88774cf433ea9b
-- How far ahead the logs are to have partitions, once: for making them, and for seeing that they
-- are missing.
CREATE OR REPLACE FUNCTION {{ schema }}.log_horizon()
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '4 months') AT TIME ZONE 'UTC';
$body$;

COMMENT ON FUNCTION {{ schema }}.log_horizon() IS
'Up to when each log is to have a partition a month: this month (UTC) and three more.';

-- object: functions/create_log_partition.sql sha256=7133ff3996eda0dcc1485f5fe12dfa916a6caa7944b87cf0c246379253227be9
-- One partition of a log, for maintain_partitions(). Built beside the log and attached: the log
-- itself is locked no harder than SHARE UPDATE EXCLUSIVE, so that sales go on. The default
-- partition is locked for the moment it takes to see that it holds no row of the month.
CREATE OR REPLACE FUNCTION {{ schema }}.create_log_partition(
    p_table text,
    p_month date DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
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
$body$;

COMMENT ON FUNCTION {{ schema }}.create_log_partition(text, date) IS
'Creates the partition of a log for the month that begins on this day (UTC), or its default '
'partition. Returns its name, or NULL when it is there already.';

-- object: functions/maintain_partitions.sql sha256=e0d23e6f7d3f85b9fc98c9379ba14c9c874cb2bec6f1d4f2f5437246e5690d05
-- Scheduled hourly, for what was locked the last time. Also callable by hand; does nothing when
-- there is nothing to do.
CREATE OR REPLACE FUNCTION {{ schema }}.maintain_partitions()
RETURNS TABLE (created_partition text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- A query that reads a log for minutes must not make the sellers queue behind us: give up at once.
-- There are months left in which to try again, and maintenance_backlog() says that it is due.
SET lock_timeout = '100ms'
AS $body$
DECLARE
    v_schema constant text := {{ schema | literal }};
    v_horizon constant timestamp := {{ schema }}.log_horizon() AT TIME ZONE 'UTC';
    v_table text;
    v_parent text;
    v_columns text;
    v_month date;
    v_strays date[];
    v_created text[];
BEGIN
    FOR v_table IN SELECT logs.name FROM {{ schema }}.partitioned_logs() AS logs (name) LOOP
        v_parent := format('%I.%I', v_schema, v_table);
        v_created := '{}';
        BEGIN
            v_created := v_created || {{ schema }}.create_log_partition(v_table);

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
                PERFORM {{ schema }}.create_log_partition(v_table);
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
                v_created := v_created || {{ schema }}.create_log_partition(v_table, v_month);
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
    PERFORM {{ schema }}.revoke_default_privileges();
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.maintain_partitions() IS
'Makes the partitions of the logs for this month and three more, moves rows out of the default '
'partitions where their month has one now, and returns the names of those created. Leaves a log '
'that somebody has locked for the next time, with a warning.';

-- object: jobs/first_partitions.sql sha256=cfc3309f9480711f59878443cc7d923bac01d3f6ccf47913dc73766b69e28963
-- Partitions of the logs from the day of installation on; the daily job goes on from there.
SELECT {{ schema }}.maintain_partitions();

-- object: functions/log_api_request.sql sha256=176e9f07657ae88283bc4b48bdee9f97cb3e6b1cc3e82a21d1eb12d80748d69f
-- The shop reports how its endpoints answer. Values that a log would refuse are bent, not refused:
-- monitoring must not break what it watches.
CREATE OR REPLACE FUNCTION {{ schema }}.log_api_request(
    p_endpoint text,
    p_method text,
    p_status_code integer,
    p_duration_ms double precision
)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
INSERT INTO {{ schema }}.api_request_log (endpoint, method, status_code, duration_ms)
VALUES (
    COALESCE(NULLIF(left(p_endpoint, 200), ''), 'unknown'),
    COALESCE(substring(upper(p_method) FROM '^[A-Z]{1,20}$'), 'UNKNOWN'),
    LEAST(GREATEST(COALESCE(p_status_code, 599), 100), 599),
    -- NULL counts as 0, and NaN sorts above every number, infinity included.
    LEAST(GREATEST(p_duration_ms, 0), 86400000)
);
$body$;

COMMENT ON FUNCTION {{ schema }}.log_api_request(text, text, integer, double precision) IS
'Records a request: route with placeholders in place of ids, HTTP method, HTTP status, duration '
'in milliseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.log_api_request(text, text, integer, double precision)
TO {{ app_role }};
{% endif %}

-- object: functions/purge_rollups.sql sha256=2650111f8d64a84fca731100e238ce7193e61725e3894c775a7ca2071e5990c1
-- For purge_history(): minutes that no view reads any more, and words that no minute uses.
CREATE OR REPLACE FUNCTION {{ schema }}.purge_rollups()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_settings {{ schema }}.ticketing_settings;
    v_rollup record;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;

    -- Nobody may be adding to the rollups meanwhile: its words, say, to a message that goes.
    PERFORM
    FROM {{ schema }}.metric_watermarks AS mark
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
            {{ schema | literal }}, v_rollup.name, v_rollup.at
        )
        USING now() - v_rollup.kept;
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := v_rollup.name;
            RETURN NEXT;
        END IF;
    END LOOP;
    DELETE FROM {{ schema }}.error_messages
    WHERE
        NOT EXISTS (
            SELECT
            FROM {{ schema }}.error_minutes AS used
            WHERE used.message_sha256 = error_messages.message_sha256
        );
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'error_messages';
        RETURN NEXT;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.purge_rollups() IS
'Deletes rollups that no view reads any more, and returns from which tables and how many rows. '
'Internal.';

-- object: functions/purge_run_history.sql sha256=08834f627be9a1a386484df4c19b01ffabfa330919bd145d10beb7276c6fc0bc
-- For purge_history(): runs of jobs, ours and those that pg_cron has on record.
CREATE OR REPLACE FUNCTION {{ schema }}.purge_run_history()
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_before timestamptz;
    v_last timestamptz;
BEGIN
    SELECT now() - make_interval(hours => 24 * settings.run_history_days)
    INTO v_before
    FROM {{ schema }}.ticketing_settings AS settings;

    -- The last one that was not skipped stays, or it would look as if there had never been any.
    SELECT max(run.finished_at)
    INTO v_last
    FROM {{ schema }}.reservation_cleanup_runs AS run
    WHERE run.status IN ('succeeded', 'failed');
    DELETE FROM {{ schema }}.reservation_cleanup_runs
    WHERE reservation_cleanup_runs.finished_at < LEAST(v_before, v_last);
    GET DIAGNOSTICS rows_removed = ROW_COUNT;
    IF rows_removed > 0 THEN
        object := 'reservation_cleanup_runs';
        RETURN NEXT;
    END IF;

    -- pg_cron never purges its history. Only our jobs, those that are gone included: other people's
    -- is theirs. Runs that never began have no time, and go with those that came before them.
    IF {{ schema }}.can_use_pg_cron() THEN
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
            ARRAY(SELECT jobs.command FROM {{ schema }}.scheduled_jobs() AS jobs),
            ARRAY(SELECT jobs.job_name FROM {{ schema }}.scheduled_jobs() AS jobs);
        GET DIAGNOSTICS rows_removed = ROW_COUNT;
        IF rows_removed > 0 THEN
            object := 'cron.job_run_details';
            RETURN NEXT;
        END IF;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.purge_run_history() IS
'Deletes runs of jobs past run_history_days, and returns from which tables and how many rows. '
'Internal.';

-- object: functions/purge_personal_data.sql sha256=b68f231435ee1afda809e95372e724e8beb993183a9f6576eb8aa3f05aa6b405
-- For purge_history(). Rows that are emptied leave the index that they are found by, so that it
-- holds what there is to do and no day's work is done twice.
CREATE OR REPLACE FUNCTION {{ schema }}.purge_personal_data(p_limit integer)
RETURNS TABLE (object text, rows_removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Policy, and no change by hand: see log_change().
SET commit_siblings = 997
SET enable_seqscan = off
AS $body$
DECLARE
    v_before timestamptz;
BEGIN
    SELECT now() - make_interval(hours => 24 * settings.personal_data_retention_days)
    INTO v_before
    FROM {{ schema }}.ticketing_settings AS settings;

    UPDATE {{ schema }}.seat_reservations
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
                FROM {{ schema }}.seat_reservations AS hold
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
    UPDATE {{ schema }}.ticket_orders
    SET error_message = NULL
    WHERE
        ticket_orders.ctid = ANY(
            ARRAY(
                SELECT failed.ctid
                FROM {{ schema }}.ticket_orders AS failed
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
$body$;

COMMENT ON FUNCTION {{ schema }}.purge_personal_data(integer) IS
'Empties the personal columns of at most p_limit reservations and as many orders that are past '
'personal_data_retention_days, the oldest first, and returns how many of each. Internal.';

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
