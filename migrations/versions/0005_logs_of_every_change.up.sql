-- 0005: Logs of every change, in monthly partitions.
-- A template, frozen by `ticketdb revision`.

-- object: audit/seat_reservation_audit_log.sql sha256=fc1482e1a363365ca43087507d14938e10946d735c4435ee176834de5d7a7efe
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
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER seat_reservation_audit_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.seat_reservation_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
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

-- object: audit/ticket_order_audit_log.sql sha256=c621b40bf522878090a5eb397f1db2187f00f3fb1b56c325d5d672457a2570cf
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
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER ticket_order_audit_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.ticket_order_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
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

-- object: audit/api_request_log.sql sha256=97e07e90daba6789bf41751c6466d639d94cc08bf210e2c9afd8442d27a3d4f0
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
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER api_request_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.api_request_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
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

-- object: audit/change_log.sql sha256=f3e71af6d6c614e2e03ab4fe4118ec34c909372895f2546c23fc3b2a27b394c4
-- What was changed by hand: every change of a business row that none of our functions has made, and
-- that no other log tells. Written by triggers; for a DBA who asks who did what, and when.
CREATE TABLE {{ internal_schema }}.change_log (
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
ON {{ internal_schema }}.change_log USING brin (created_at) WITH (autosummarize = on);

-- Row triggers reach the partitions by themselves; TRUNCATE of one partition needs a trigger there,
-- which maintain_partitions() adds. ENABLE ALWAYS: session_replication_role = replica does not get
-- around them.
CREATE TRIGGER change_log_append_only
BEFORE UPDATE OR DELETE ON {{ internal_schema }}.change_log
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'The log is append-only: add a row that corrects it.'
);

CREATE TRIGGER change_log_no_truncate
BEFORE TRUNCATE ON {{ internal_schema }}.change_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'purge_history() drops what is past retention.'
);

ALTER TABLE {{ internal_schema }}.change_log ENABLE ALWAYS TRIGGER change_log_append_only;
ALTER TABLE {{ internal_schema }}.change_log ENABLE ALWAYS TRIGGER change_log_no_truncate;

COMMENT ON TABLE {{ internal_schema }}.change_log IS
'Append-only log of changes by hand, one month a partition: who changed which row of shows, seats, '
'holds, orders, tickets, settings or alert rules, from what to what. It outlives the erasure of '
'personal data: such values are only said to have changed.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.table_name IS 'The table, without its schema.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.operation IS 'insert, update or delete.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.row_key IS
'The key of the row, before an update: its columns by name. The show alone where seats were added.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.rows_changed IS
'How many rows the line is about: 1, or how many seats one statement added to a show.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.old_values IS
'What an update replaced or a delete removed, by column; *** for what is personal or secret.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.new_values IS
'What an update or an insert put there, by column; *** for what is personal or secret.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.session_role IS 'The role that logged in.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.acting_role IS
'The role that it had taken with SET ROLE, or the same.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.application_name IS
'What the client called itself, such as psql.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.xact_id IS
'The transaction: changes made together bear the same number.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.created_at IS
'Start of the transaction that made the change; the partition key.';
COMMENT ON CONSTRAINT change_log_pkey ON {{ internal_schema }}.change_log IS 'Rows are told apart.';
COMMENT ON CONSTRAINT change_log_operation_check ON {{ internal_schema }}.change_log IS
'The operations there are; TRUNCATE is refused.';
COMMENT ON CONSTRAINT change_log_rows_changed_check ON {{ internal_schema }}.change_log IS
'A line is about something.';
COMMENT ON CONSTRAINT change_log_created_at_check ON {{ internal_schema }}.change_log IS 'Finite.';
COMMENT ON INDEX {{ internal_schema }}.change_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON TRIGGER change_log_append_only ON {{ internal_schema }}.change_log IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER change_log_no_truncate ON {{ internal_schema }}.change_log IS
'Refuses TRUNCATE.';

-- object: audit/partitioned_logs.sql sha256=83ef33bf71eaa23ba10c7d45a1647afa14e0409f2ea0ee9731a45e803cc28c56
-- The tables that are cut by month. One list for making partitions and for dropping them.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.partitioned_logs()
RETURNS TABLE (name text, relation regclass)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
ROWS 4
AS $body$
SELECT
    log.name,
    to_regclass(format('%I.%I', log.schema, log.name))
FROM (
    VALUES
    ({{ schema | literal }}, 'seat_reservation_audit_log'),
    ({{ schema | literal }}, 'ticket_order_audit_log'),
    ({{ schema | literal }}, 'api_request_log'),
    ({{ internal_schema | literal }}, 'change_log')
) AS log (schema, name);
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.partitioned_logs() IS
'The tables that have a partition a month. Their partitions are in the internal schema.';

-- object: audit/log_horizon.sql sha256=494b790a562f43ccd7d39c5e15a4647604d02ebdf71892ada51b66aa72c8bac5
-- How far ahead the logs are to have partitions, once: for making them, and for seeing that they
-- are missing.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_horizon()
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '4 months') AT TIME ZONE 'UTC';
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_horizon() IS
'Up to when each log is to have a partition a month: this month (UTC) and three more.';

-- object: audit/create_log_partition.sql sha256=d7cc65f6b55a610c14fb4eee5304376f8569795eb616832a01bc470eab7ee199
-- One partition of a log, for maintain_partitions(). Built beside the log and attached: the log
-- itself is locked no harder than SHARE UPDATE EXCLUSIVE, so that sales go on. The default
-- partition is locked for the moment it takes to see that it holds no row of the month.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.create_log_partition(
    p_log regclass,
    p_month date DEFAULT NULL
)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_name constant text := (
        SELECT log.relname::text FROM pg_class AS log WHERE log.oid = p_log
    );
    v_partition constant text := v_name || COALESCE(to_char(p_month, '"_p"YYYY_MM'), '_default');
    v_path constant text := format('%I.%I', {{ internal_schema | literal }}, v_partition);
BEGIN
    IF to_regclass(v_path) IS NOT NULL THEN
        RETURN NULL;
    END IF;
    -- Not INCLUDING ALL: attaching makes the indexes, and an identity of its own would number rows
    -- anew.
    EXECUTE format(
        'CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', v_path, p_log
    );
    IF p_month IS NULL THEN
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', p_log, v_path);
    ELSE
        EXECUTE format(
            'ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', p_log, v_path,
            to_char(p_month, 'YYYY-MM-DD" 00:00:00+00"'),
            to_char(p_month + interval '1 month', 'YYYY-MM-DD" 00:00:00+00"')
        );
    END IF;
    EXECUTE format(
        'CREATE TRIGGER %I BEFORE TRUNCATE ON %s FOR EACH STATEMENT '
        'EXECUTE FUNCTION %I.refuse_change(%L)',
        v_name || '_no_truncate', v_path, {{ internal_schema | literal }},
        'purge_history() drops what is past retention.'
    );
    EXECUTE format(
        'ALTER TABLE %s ENABLE ALWAYS TRIGGER %I, ENABLE ALWAYS TRIGGER %I',
        v_path, v_name || '_no_truncate', v_name || '_append_only'
    );
    EXECUTE format(
        'COMMENT ON TABLE %s IS %L', v_path,
        CASE
            WHEN p_month IS NULL
                THEN format(
                    'Rows of %s that no month has a partition for: no event is ever lost.', v_name
                )
            ELSE format('Rows of %s of one month, UTC.', v_name)
        END
    );
    RETURN v_partition;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.create_log_partition(regclass, date) IS
'Creates the partition of a log for the month that begins on this day (UTC), or its default '
'partition. Returns its name, or NULL when it is there already.';

-- object: audit/maintain_partitions.sql sha256=9eff2c25c069759bcaf69732c189b32ce1ad7e3bde65db7ae850d0dbd1da0479
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
    v_inner constant text := {{ internal_schema | literal }};
    v_horizon constant timestamp := {{ internal_schema }}.log_horizon() AT TIME ZONE 'UTC';
    v_log record;
    v_columns text;
    v_month date;
    v_strays date[];
    v_created text[];
BEGIN
    FOR v_log IN SELECT logs.* FROM {{ internal_schema }}.partitioned_logs() AS logs LOOP
        v_created := '{}';
        BEGIN
            v_created := v_created || {{ internal_schema }}.create_log_partition(v_log.relation);

            -- Rows that came while their month had no partition. Those beyond the horizon stay: a
            -- clock was wrong.
            EXECUTE format(
                'SELECT array_agg(DISTINCT date_trunc(''month'', created_at AT TIME ZONE '
                '''UTC'')::date) '
                'FROM %I.%I WHERE created_at < %L::timestamp AT TIME ZONE ''UTC''',
                v_inner, v_log.name || '_default', to_char(v_horizon, 'YYYY-MM-DD')
            ) INTO v_strays;
            IF v_strays IS NOT NULL THEN
                -- They cannot be deleted from an append-only table, so the table goes and its rows
                -- are routed anew.
                EXECUTE format(
                    'ALTER TABLE %s DETACH PARTITION %I.%I', v_log.relation, v_inner,
                    v_log.name || '_default'
                );
                EXECUTE format(
                    'ALTER TABLE %I.%I RENAME TO %I', v_inner, v_log.name || '_default',
                    v_log.name || '_strays'
                );
                PERFORM {{ internal_schema }}.create_log_partition(v_log.relation);
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
                v_created := v_created
                    || {{ internal_schema }}.create_log_partition(v_log.relation, v_month);
            END LOOP;

            IF v_strays IS NOT NULL THEN
                SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                INTO v_columns
                FROM pg_attribute AS a
                WHERE a.attrelid = v_log.relation AND a.attnum > 0 AND NOT a.attisdropped;
                EXECUTE format(
                    'INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %2$s FROM %3$I.%4$I',
                    v_log.relation, v_columns, v_inner, v_log.name || '_strays'
                );
                EXECUTE format('DROP TABLE %I.%I', v_inner, v_log.name || '_strays');
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                RAISE WARNING 'partitions of % are left for the next time: %', v_log.name, SQLERRM;
                v_created := '{}';
        END;
        RETURN QUERY
        SELECT created.name
        FROM unnest(v_created) AS created (name)
        WHERE created.name IS NOT NULL;
    END LOOP;
    PERFORM {{ internal_schema }}.revoke_default_privileges();
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.maintain_partitions() IS
'Makes the partitions of the logs for this month and three more, moves rows out of the default '
'partitions where their month has one now, and returns the names of those created. Leaves a log '
'that somebody has locked for the next time, with a warning.';

-- object: audit/first_partitions.sql sha256=cfc3309f9480711f59878443cc7d923bac01d3f6ccf47913dc73766b69e28963
-- Partitions of the logs from the day of installation on; the daily job goes on from there.
SELECT {{ schema }}.maintain_partitions();

-- object: audit/log_api_request.sql sha256=176e9f07657ae88283bc4b48bdee9f97cb3e6b1cc3e82a21d1eb12d80748d69f
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

-- object: audit/audit_seat_reservation.sql sha256=72fe63e7decb4257bdc890c2ba7686281659564ef0958991633da8151af32227
-- Trigger function: whoever changes a hold, by whatever statement, leaves a line; who may not write
-- the log may not change a hold. It runs as the caller.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.audit_seat_reservation()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
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
    INSERT INTO {{ schema }}.seat_reservation_audit_log (
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
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = NEW.id
        AND claim.show_id = NEW.show_id;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.audit_seat_reservation() IS
'Trigger: writes what happened to a hold into seat_reservation_audit_log.';

-- object: audit/seat_reservations_audit.sql sha256=a6ed0dc3a608aa86273ba6ae315941f671b450e1743778b713ee1d101d7942e5
-- Row-level: transition tables do not work on distributed tables. ENABLE ALWAYS:
-- session_replication_role = replica does not silence it.
CREATE OR REPLACE TRIGGER seat_reservations_audit_insert
AFTER INSERT ON {{ schema }}.seat_reservations
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.audit_seat_reservation();

CREATE OR REPLACE TRIGGER seat_reservations_audit_update
AFTER UPDATE ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (
    OLD.status IS DISTINCT FROM NEW.status
    OR OLD.extension_count IS DISTINCT FROM NEW.extension_count
)
EXECUTE FUNCTION {{ internal_schema }}.audit_seat_reservation();

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_audit_insert,
ENABLE ALWAYS TRIGGER seat_reservations_audit_update;

COMMENT ON TRIGGER seat_reservations_audit_insert
ON {{ schema }}.seat_reservations IS 'Logs each new hold.';
COMMENT ON TRIGGER seat_reservations_audit_update ON {{ schema }}.seat_reservations IS
'Logs how a hold is extended and how it ends.';

-- object: audit/audit_ticket_order.sql sha256=127a505feb9bdd7983cfcda5d7a77088776e2890bbdf3d70eb5391661e5ed59e
-- Trigger function: whoever changes an order, by whatever statement, leaves a line. Runs as the
-- caller: who may not write the log may not change an order.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.audit_ticket_order()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.ticket_order_audit_log (
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.audit_ticket_order() IS
'Trigger: writes each change of status of an order into ticket_order_audit_log.';

-- object: audit/ticket_orders_audit.sql sha256=1c6064e52094d68375417e258cf9dc7de7cc55ce35e8029debc2cb869fe466eb
CREATE OR REPLACE TRIGGER ticket_orders_audit_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.audit_ticket_order();

CREATE OR REPLACE TRIGGER ticket_orders_audit_update
AFTER UPDATE ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION {{ internal_schema }}.audit_ticket_order();

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_audit_insert,
ENABLE ALWAYS TRIGGER ticket_orders_audit_update;

COMMENT ON TRIGGER ticket_orders_audit_insert
ON {{ schema }}.ticket_orders IS 'Logs each new order.';
COMMENT ON TRIGGER ticket_orders_audit_update
ON {{ schema }}.ticket_orders IS 'Logs each change of status.';

-- object: audit/log_change.sql sha256=a34b43677c91951c7873092f78aff020910fd8b2495fae8443a03950886feb10
-- Trigger function: a line in change_log. Its arguments are the columns of the table's key, and
-- those whose values are personal or secret, each list with commas. Runs as the owner: whoever was
-- given the right to change a show need not be able to write the log, and cannot avoid it.
--
-- Our functions that change holds, seats and orders leave no line: other logs tell what they do.
-- They are known by SET commit_siblings = 997 in their heads, which lasts exactly as long as they
-- run and changes nothing else: the server looks at it when a transaction is committed. A setting
-- of our own would do, but only a superuser may give a function one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_change()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The line is the same whatever the session has set.
SET timezone = 'UTC'
SET extra_float_digits = 1
AS $body$
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
    INSERT INTO {{ internal_schema }}.change_log (table_name, operation, row_key, old_values, new_values)
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_change() IS
'Trigger: writes a change of a row into change_log. Arguments: the columns of the key, and those '
'whose values are masked.';

-- object: audit/log_new_seats.sql sha256=8670224f227ddf51815fe3d92aa926b7b251982068a08416c0406a74b15d4320
-- Trigger function: a shop adds the 80,000 seats of a stadium in one statement, which is worth one
-- line.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_new_seats()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ internal_schema }}.change_log (
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
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_new_seats() IS
'Trigger: writes how many seats a statement has added to which show into change_log.';

-- object: audit/shows_change_log.sql sha256=b7a1365d4f9b6df9a0efd8c838d3a8c3a36e5b0b0b8f1ae10fdb786833c8ba1d
-- Few, and changed by hand only: every change has its line.
CREATE OR REPLACE TRIGGER shows_change_log_insert
AFTER INSERT ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id');

CREATE OR REPLACE TRIGGER shows_change_log_update
AFTER UPDATE ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id');

CREATE OR REPLACE TRIGGER shows_change_log_delete
AFTER DELETE ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id');

ALTER TABLE {{ schema }}.shows
ENABLE ALWAYS TRIGGER shows_change_log_insert,
ENABLE ALWAYS TRIGGER shows_change_log_update,
ENABLE ALWAYS TRIGGER shows_change_log_delete;

COMMENT ON TRIGGER shows_change_log_insert ON {{ schema }}.shows IS
'Logs each show that is added.';
COMMENT ON TRIGGER shows_change_log_update ON {{ schema }}.shows IS
'Logs each change of a show.';
COMMENT ON TRIGGER shows_change_log_delete ON {{ schema }}.shows IS
'Logs each show that is deleted; one that anything refers to cannot be.';

-- object: audit/show_seats_change_log.sql sha256=605491da9b942ea9d1b16a43a4aeaa5906dc8a4e52ed69c09bfc168a08785e7a
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER show_seats_change_log_insert
AFTER INSERT ON {{ schema }}.show_seats
REFERENCING NEW TABLE AS new_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.log_new_seats();

CREATE OR REPLACE TRIGGER show_seats_change_log_update
AFTER UPDATE OF id, show_id, section, row_label, seat_number, price_in_cents
ON {{ schema }}.show_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER show_seats_change_log_update_by_hand
AFTER UPDATE OF status, reserved_by, reserved_until ON {{ schema }}.show_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER show_seats_change_log_delete
AFTER DELETE ON {{ schema }}.show_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_change_log_insert,
ENABLE ALWAYS TRIGGER show_seats_change_log_update,
ENABLE ALWAYS TRIGGER show_seats_change_log_update_by_hand,
ENABLE ALWAYS TRIGGER show_seats_change_log_delete;

COMMENT ON TRIGGER show_seats_change_log_insert ON {{ schema }}.show_seats IS
'Logs seats that are added, a line for each statement and show.';
COMMENT ON TRIGGER show_seats_change_log_update ON {{ schema }}.show_seats IS
'Logs each change of the place or the price of a seat.';
COMMENT ON TRIGGER show_seats_change_log_update_by_hand ON {{ schema }}.show_seats IS
'Logs each change of the state of a seat that none of our functions makes.';
COMMENT ON TRIGGER show_seats_change_log_delete ON {{ schema }}.show_seats IS
'Logs each seat that is deleted; one that anything refers to cannot be.';

-- object: audit/seat_reservations_change_log.sql sha256=09a7152e0269affc73154a1e495f1019138719c6fb525905e7378c6bf742de75
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew. A new hold is in
-- seat_reservation_audit_log, whoever makes it: one trigger less where it counts.
CREATE OR REPLACE TRIGGER seat_reservations_change_log_update
AFTER UPDATE OF id, show_id, reservation_token, created_at ON {{ schema }}.seat_reservations
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'id,show_id',
    'reservation_token,session_id,user_id,email,user_agent,ip_address'
);

CREATE OR REPLACE TRIGGER seat_reservations_change_log_update_by_hand
AFTER UPDATE OF session_id, user_id, email, user_agent, ip_address, status, expires_at,
extension_count, ended_at
ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'id,show_id',
    'reservation_token,session_id,user_id,email,user_agent,ip_address'
);

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_change_log_update,
ENABLE ALWAYS TRIGGER seat_reservations_change_log_update_by_hand;

COMMENT ON TRIGGER seat_reservations_change_log_update ON {{ schema }}.seat_reservations IS
'Logs each change of what a hold was made of.';
COMMENT ON TRIGGER seat_reservations_change_log_update_by_hand ON {{ schema }}.seat_reservations IS
'Logs each change of the state of a hold that none of our functions makes.';

-- object: audit/reservation_seats_change_log.sql sha256=f3f8a893059fbb78154700249bf85c938b560da17a289b01b451f8b8875fc133
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER reservation_seats_change_log_insert
AFTER INSERT ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('reservation_id,show_seat_id,show_id');

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update
AFTER UPDATE OF reservation_id, show_seat_id, show_id, price_in_cents, currency
ON {{ schema }}.reservation_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'reservation_id,show_seat_id,show_id'
);

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update_by_hand
AFTER UPDATE OF released_at ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('reservation_id,show_seat_id,show_id');

ALTER TABLE {{ schema }}.reservation_seats
ENABLE ALWAYS TRIGGER reservation_seats_change_log_insert,
ENABLE ALWAYS TRIGGER reservation_seats_change_log_update,
ENABLE ALWAYS TRIGGER reservation_seats_change_log_update_by_hand;

COMMENT ON TRIGGER reservation_seats_change_log_insert ON {{ schema }}.reservation_seats IS
'Logs each claim that is added by hand.';
COMMENT ON TRIGGER reservation_seats_change_log_update ON {{ schema }}.reservation_seats IS
'Logs each change of what a claim was made of.';
COMMENT ON TRIGGER reservation_seats_change_log_update_by_hand ON {{ schema }}.reservation_seats IS
'Logs each change of the state of a claim that none of our functions makes.';

-- object: audit/ticket_orders_change_log.sql sha256=d11ba4bda4fcd3f97421b8372c8b2edcb091a8d4ea9bc937f1c77bf69de9943e
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER ticket_orders_change_log_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update
AFTER UPDATE OF id, show_id, reservation_id, seat_ids, total_amount_in_cents, currency, created_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update_by_hand
AFTER UPDATE OF status, idempotency_key, payment_provider, payment_intent_id, error_message,
cancel_reason, refunded_amount_in_cents, paid_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_orders_change_log_update,
ENABLE ALWAYS TRIGGER ticket_orders_change_log_update_by_hand;

COMMENT ON TRIGGER ticket_orders_change_log_insert ON {{ schema }}.ticket_orders IS
'Logs each order that is added by hand.';
COMMENT ON TRIGGER ticket_orders_change_log_update ON {{ schema }}.ticket_orders IS
'Logs each change of what a order was made of.';
COMMENT ON TRIGGER ticket_orders_change_log_update_by_hand ON {{ schema }}.ticket_orders IS
'Logs each change of the state of a order that none of our functions makes.';

-- object: audit/tickets_change_log.sql sha256=770367fe263ecdc97b713574378baca22bdccb34af50f059ad5e856b997b1d63
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER tickets_change_log_insert
AFTER INSERT ON {{ schema }}.tickets
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update
AFTER UPDATE OF id, show_id, order_id, show_seat_id, price_in_cents, currency, ticket_code,
created_at
ON {{ schema }}.tickets
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update_by_hand
AFTER UPDATE OF status ON {{ schema }}.tickets
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

ALTER TABLE {{ schema }}.tickets
ENABLE ALWAYS TRIGGER tickets_change_log_insert,
ENABLE ALWAYS TRIGGER tickets_change_log_update,
ENABLE ALWAYS TRIGGER tickets_change_log_update_by_hand;

COMMENT ON TRIGGER tickets_change_log_insert ON {{ schema }}.tickets IS
'Logs each ticket that is added by hand.';
COMMENT ON TRIGGER tickets_change_log_update ON {{ schema }}.tickets IS
'Logs each change of what a ticket was made of.';
COMMENT ON TRIGGER tickets_change_log_update_by_hand ON {{ schema }}.tickets IS
'Logs each change of the state of a ticket that none of our functions makes.';

-- object: audit/payment_events_change_log.sql sha256=009da9aa66b2fb0dad57f8a13d7cec7b30656dfabadd0332c36e92bcf96b5c85
-- Our functions add rows, and there are other logs of that: see log_change(). Nobody changes one.
CREATE OR REPLACE TRIGGER payment_events_change_log_insert
AFTER INSERT ON {{ schema }}.payment_events
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'provider,event_id,kind,order_id,show_id',
    'error_message'
);

ALTER TABLE {{ schema }}.payment_events
ENABLE ALWAYS TRIGGER payment_events_change_log_insert;

COMMENT ON TRIGGER payment_events_change_log_insert ON {{ schema }}.payment_events IS
'Logs each event that is added by hand.';

-- object: audit/payment_intents_change_log.sql sha256=5842bf8766aa20d364836d2c6d91ad870e6b863b9325799c2ce148b4a59516d8
-- Our functions add rows, and there are other logs of that: see log_change(). Nobody changes one.
CREATE OR REPLACE TRIGGER payment_intents_change_log_insert
AFTER INSERT ON {{ internal_schema }}.payment_intents
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'payment_intent_id,payment_provider,order_id,show_id'
);

CREATE OR REPLACE TRIGGER payment_intents_change_log_update
AFTER UPDATE ON {{ internal_schema }}.payment_intents
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'payment_intent_id,payment_provider,order_id,show_id'
);

ALTER TABLE {{ internal_schema }}.payment_intents
ENABLE ALWAYS TRIGGER payment_intents_change_log_insert,
ENABLE ALWAYS TRIGGER payment_intents_change_log_update;

COMMENT ON TRIGGER payment_intents_change_log_insert ON {{ internal_schema }}.payment_intents IS
'Logs each payment that is added by hand.';
COMMENT ON TRIGGER payment_intents_change_log_update ON {{ internal_schema }}.payment_intents IS
'Logs each change of a payment.';

-- object: audit/ticket_order_keys_change_log.sql sha256=dd626049de1e4c49818ff561e58539aabe0827bf670d27ac1cae27308925b6ee
-- Our functions add rows, and there are other logs of that: see log_change(). Nobody changes one.
CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_insert
AFTER INSERT ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_update
AFTER UPDATE ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

ALTER TABLE {{ internal_schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update;

COMMENT ON TRIGGER ticket_order_keys_change_log_insert ON {{ internal_schema }}.ticket_order_keys IS
'Logs each key that is added by hand.';
COMMENT ON TRIGGER ticket_order_keys_change_log_update ON {{ internal_schema }}.ticket_order_keys IS
'Logs each change of a key.';

-- object: audit/refunds_change_log.sql sha256=4a80a959a1988f3ef5ad250d58cc5c0aa408c8157e1e93309d7e6470423a0cef
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER refunds_change_log_insert
AFTER INSERT ON {{ schema }}.refunds
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER refunds_change_log_update
AFTER UPDATE OF id, show_id, order_id, ticket_ids, amount_in_cents, currency, reason,
payment_provider, payment_event_id, created_at
ON {{ schema }}.refunds
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER refunds_change_log_update_by_hand
AFTER UPDATE OF status, done_at ON {{ schema }}.refunds
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

ALTER TABLE {{ schema }}.refunds
ENABLE ALWAYS TRIGGER refunds_change_log_insert,
ENABLE ALWAYS TRIGGER refunds_change_log_update,
ENABLE ALWAYS TRIGGER refunds_change_log_update_by_hand;

COMMENT ON TRIGGER refunds_change_log_insert ON {{ schema }}.refunds IS
'Logs each refund that is added by hand.';
COMMENT ON TRIGGER refunds_change_log_update ON {{ schema }}.refunds IS
'Logs each change of what a refund was made of.';
COMMENT ON TRIGGER refunds_change_log_update_by_hand ON {{ schema }}.refunds IS
'Logs each change of the state of a refund that none of our functions makes.';

-- object: audit/currencies_change_log.sql sha256=29ba730e6ddce941d5c65718ef1fa775950640ea9800b7c1268fe7c8b621fc29
-- Few, and changed by hand only: every change has its line.
CREATE OR REPLACE TRIGGER currencies_change_log_insert
AFTER INSERT ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('code');

CREATE OR REPLACE TRIGGER currencies_change_log_update
AFTER UPDATE ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('code');

CREATE OR REPLACE TRIGGER currencies_change_log_delete
AFTER DELETE ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('code');

ALTER TABLE {{ schema }}.currencies
ENABLE ALWAYS TRIGGER currencies_change_log_insert,
ENABLE ALWAYS TRIGGER currencies_change_log_update,
ENABLE ALWAYS TRIGGER currencies_change_log_delete;

COMMENT ON TRIGGER currencies_change_log_insert ON {{ schema }}.currencies IS
'Logs each currency that is added by hand.';
COMMENT ON TRIGGER currencies_change_log_update ON {{ schema }}.currencies IS
'Logs each change of a currency.';
COMMENT ON TRIGGER currencies_change_log_delete ON {{ schema }}.currencies IS
'Logs each currency that is deleted.';

-- object: audit/ticketing_settings_change_log.sql sha256=fa7a91793026916e8240398363aac6c181ddc66b368748b18e029d3e0035ab8d
-- Few, and changed by hand only: every change has its line.
CREATE OR REPLACE TRIGGER ticketing_settings_change_log_insert
AFTER INSERT ON {{ schema }}.ticketing_settings
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('singleton');

CREATE OR REPLACE TRIGGER ticketing_settings_change_log_update
AFTER UPDATE ON {{ schema }}.ticketing_settings
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('singleton');

ALTER TABLE {{ schema }}.ticketing_settings
ENABLE ALWAYS TRIGGER ticketing_settings_change_log_insert,
ENABLE ALWAYS TRIGGER ticketing_settings_change_log_update;

COMMENT ON TRIGGER ticketing_settings_change_log_insert ON {{ schema }}.ticketing_settings IS
'Logs each setting that is added by hand.';
COMMENT ON TRIGGER ticketing_settings_change_log_update ON {{ schema }}.ticketing_settings IS
'Logs each change of a setting.';

-- object: audit/seat_reservations_keep_rows.sql sha256=3b863283c61b8255488bcea396f1eaac135c5bf4ba4cbf65f999e2cff89a30c3
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER seat_reservations_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.seat_reservations
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A hold is released, never deleted; its personal columns may be emptied.'
);

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_keep_rows;

COMMENT ON TRIGGER seat_reservations_keep_rows ON {{ schema }}.seat_reservations IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/reservation_seats_keep_rows.sql sha256=3f88255d6c73538a2d424cf98aeadcacfded7648cd272ddcf5cad6c444886867
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER reservation_seats_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.reservation_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A claim is released, never deleted.'
);

ALTER TABLE {{ schema }}.reservation_seats
ENABLE ALWAYS TRIGGER reservation_seats_keep_rows;

COMMENT ON TRIGGER reservation_seats_keep_rows ON {{ schema }}.reservation_seats IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/ticket_orders_keep_rows.sql sha256=234cb8716ecdc37828dde09f2aa8813698de9b89f9a464f5a34ac732b06b9150
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER ticket_orders_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.ticket_orders
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'An order is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_keep_rows;

COMMENT ON TRIGGER ticket_orders_keep_rows ON {{ schema }}.ticket_orders IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/tickets_keep_rows.sql sha256=9e8c402543f1eecf54e1608b9d4a374d83ddd89eb728e6208b863289f636848b
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER tickets_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.tickets
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A ticket is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.tickets
ENABLE ALWAYS TRIGGER tickets_keep_rows;

COMMENT ON TRIGGER tickets_keep_rows ON {{ schema }}.tickets IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/payment_intents_keep_rows.sql sha256=42e624979ceade9cb2d15df11af35f7f7ca3296618fb1243e8c828433e92e9da
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER payment_intents_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.payment_intents
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Money may still come from it.'
);

ALTER TABLE {{ internal_schema }}.payment_intents
ENABLE ALWAYS TRIGGER payment_intents_keep_rows;

COMMENT ON TRIGGER payment_intents_keep_rows ON {{ internal_schema }}.payment_intents IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/ticket_order_keys_keep_rows.sql sha256=8d1f894475a3329ed730e7d17f0628cf0bdb55ad83358fad21c89c41005dfb03
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER ticket_order_keys_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.ticket_order_keys
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A key names its order for ever.'
);

ALTER TABLE {{ internal_schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_keep_rows;

COMMENT ON TRIGGER ticket_order_keys_keep_rows ON {{ internal_schema }}.ticket_order_keys IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/refunds_keep_rows.sql sha256=6834c9f3e36f719a4ade6a5ae343d0f4d4d1dfa8cd19eaaf2e17f3e2247fe74c
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER refunds_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.refunds
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A refund is done, never deleted.'
);

ALTER TABLE {{ schema }}.refunds
ENABLE ALWAYS TRIGGER refunds_keep_rows;

COMMENT ON TRIGGER refunds_keep_rows ON {{ schema }}.refunds IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/shows_keep_rows.sql sha256=b104f61439852cb679e5f043a8b0fef614bd5dd2f24492dd6b613c0d26bca8d8
-- TRUNCATE would leave no line of what it took.
CREATE OR REPLACE TRIGGER shows_keep_rows
BEFORE TRUNCATE ON {{ schema }}.shows
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Delete what nothing refers to with DELETE, which is logged.'
);

ALTER TABLE {{ schema }}.shows
ENABLE ALWAYS TRIGGER shows_keep_rows;

COMMENT ON TRIGGER shows_keep_rows ON {{ schema }}.shows IS
'Refuses TRUNCATE.';

-- object: audit/show_seats_keep_rows.sql sha256=3fc7d20fbf072ea9aebb48d7f8f0d6a0506fe0d884ec00e66f7abfe8b494a0bb
-- TRUNCATE would leave no line of what it took.
CREATE OR REPLACE TRIGGER show_seats_keep_rows
BEFORE TRUNCATE ON {{ schema }}.show_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Delete what nothing refers to with DELETE, which is logged.'
);

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_keep_rows;

COMMENT ON TRIGGER show_seats_keep_rows ON {{ schema }}.show_seats IS
'Refuses TRUNCATE.';

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
