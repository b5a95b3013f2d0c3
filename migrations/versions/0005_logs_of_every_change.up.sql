-- 0005: Logs of every change, in monthly partitions.
-- A template, frozen by `ticketdb revision`.

-- object: audit/seat_reservation_audit_log.sql sha256=4df1cf3ec93d5bb8bbd609d075934d403fa3c55a518651487995debf9458c97e
-- Events of holds, in order. Written by a trigger on seat_reservations, and by the functions that
-- sell when they refuse.
CREATE TABLE {{ schema }}.seat_reservation_audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    event_type {{ internal_schema }}.event_type NOT NULL,
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
    -- For the rollup: rows whose transaction is below the xmin of a snapshot are final. See the
    -- decision on exact rollups.
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT seat_reservation_audit_log_pkey PRIMARY KEY (id, show_id, created_at),
    CONSTRAINT seat_reservation_audit_log_error_message_check CHECK (length(error_message) <= 500),
    CONSTRAINT seat_reservation_audit_log_created_at_check CHECK (isfinite(created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: BRIN finds a window by a summary of each megabyte, and
-- costs writers almost nothing.
CREATE INDEX seat_reservation_audit_log_created_at_idx
ON {{ schema }}.seat_reservation_audit_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX seat_reservation_audit_log_xact_id_idx
ON {{ schema }}.seat_reservation_audit_log (xact_id);

-- Partitions inherit row triggers. TRUNCATE of one partition needs a trigger there, which
-- maintain_partitions() adds. ENABLE ALWAYS, so that session_replication_role = replica does not
-- disable them.
CREATE TRIGGER seat_reservation_audit_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.seat_reservation_audit_log
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change_but_erasure(
    'The log is append-only: add a row that corrects it.', 'session_id,user_agent,ip_address'
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
'Append-only log of holds, with a partition for each month. The source of every reservation '
'metric.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.event_type IS
'Of a hold: created, extended, released, expired, completed (paid), added (seats were added), '
'priced (prices or types of tickets were set), transferred (to another session). Of seats: blocked '
'and unblocked by the staff, issued (sold at the counter), moved (tickets got these seats instead '
'of metadata.from_seat_ids), refunded (tickets were taken back), checked_in. failed: a call was '
'refused. erased: personal data of a customer, of whom the line reveals nothing.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.reservation_id IS
'The reservation; NULL if none was made.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.show_id IS
'The show, or the nil UUID if the caller gave none. No foreign key, since nothing may delete rows '
'from here.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.session_id IS
'The session of the caller, cut to 200 characters.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.seat_count IS
'How many seats the event is about.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.seat_ids IS
'Which seats; of a refusal the first 100.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.error_code IS
'Of a failed call: the error code that was returned.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.error_message IS
'Of a failed call: the message that was returned.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.user_agent IS
'Browser of the buyer. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.ip_address IS
'IP address of the buyer. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.metadata IS
'Details: function (which call was refused), staff (who did it), blocked_seat_ids (those of the '
'seats that were blocked before, or of refunded tickets are blocked since), late, partial, '
'sqlstate, detail and more. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.hold_seconds IS
'How long the hold lasted, in seconds, on the event that ended it.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.xact_id IS
'The transaction that wrote the row, for the exact rollup.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.created_at IS
'Start of the transaction that wrote the row; the partition key.';
COMMENT ON CONSTRAINT seat_reservation_audit_log_error_message_check
ON {{ schema }}.seat_reservation_audit_log IS
'A fixed sentence of error_message(). A longer text might not fit into the index of error_minutes, '
'and the rollup would stop.';
COMMENT ON INDEX {{ schema }}.seat_reservation_audit_log_created_at_idx IS
'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.seat_reservation_audit_log_xact_id_idx IS
'Serves the rollup, and views that read what is not rolled up yet.';
COMMENT ON TRIGGER seat_reservation_audit_log_append_only
ON {{ schema }}.seat_reservation_audit_log IS
'Refuses DELETE, and UPDATE except for the erasure of personal data.';
COMMENT ON TRIGGER seat_reservation_audit_log_no_truncate
ON {{ schema }}.seat_reservation_audit_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    id, event_type, reservation_id, show_id, seat_count, seat_ids, error_code, error_message,
    hold_seconds, xact_id, created_at
) ON TABLE {{ schema }}.seat_reservation_audit_log TO {{ monitor_role }};
{% endif %}

-- object: audit/ticket_order_audit_log.sql sha256=295e2d57ad1160f5b95c3397a3d5434222ac2f9bbb181a8a3601e22ff0ffb6b5
-- Events of orders, in order. Written by a trigger on ticket_orders, and by the functions that sell
-- when they refuse.
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
    -- For the rollup: rows whose transaction is below the xmin of a snapshot are final. See the
    -- decision on exact rollups.
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ticket_order_audit_log_pkey PRIMARY KEY (id, show_id, created_at),
    CONSTRAINT ticket_order_audit_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_order_audit_log_order_created_at_check CHECK (isfinite(order_created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: BRIN finds a window by a summary of each megabyte, and
-- costs writers almost nothing.
CREATE INDEX ticket_order_audit_log_created_at_idx
ON {{ schema }}.ticket_order_audit_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX ticket_order_audit_log_xact_id_idx ON {{ schema }}.ticket_order_audit_log (xact_id);

-- Partitions inherit row triggers. TRUNCATE of one partition needs a trigger there, which
-- maintain_partitions() adds. ENABLE ALWAYS, so that session_replication_role = replica does not
-- disable them.
CREATE TRIGGER ticket_order_audit_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.ticket_order_audit_log
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change_but_erasure(
    'The log is append-only: add a row that corrects it.', 'session_id,error_message'
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
'Append-only log of orders, with a partition for each month: a row for each change of status, each '
'refusal, and each report that money went back.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.order_id IS
'The order; NULL if none was made.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.reservation_id IS
'The reservation that it pays for.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.show_id IS
'The show, or the nil UUID if the caller gave none. No foreign key, since nothing may delete rows '
'from here.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.session_id IS
'The session of the caller, if it gave one, cut to 200 characters.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.old_status IS
'Status before; NULL for a new order.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.new_status IS
'Status after; NULL for a refusal, and for what a call did besides, such as record_refund().';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.amount_in_cents IS
'The amount of the order, or the amount that was refused, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.seat_count IS
'How many seats the order has; NULL for a refusal.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.order_created_at IS
'When the order was created; NULL for a refusal.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.payment_provider IS 'The payment provider.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.error_code IS
'Of a refusal: the error code that was returned.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.error_message IS
'Why a call was refused or a payment failed.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.metadata IS
'Details: function (which call), staff (who did it), event_id, refund_id, ticket_ids, sqlstate, '
'detail; of cancel_show_portion how many holds_ended, orders_cancelled, orders_refunded.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.xact_id IS
'The transaction that wrote the row, for the exact rollup.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.created_at IS
'Start of the transaction that wrote the row; the partition key.';
COMMENT ON INDEX {{ schema }}.ticket_order_audit_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.ticket_order_audit_log_xact_id_idx IS
'Serves the rollup, and views that read what is not rolled up yet.';
COMMENT ON TRIGGER ticket_order_audit_log_append_only ON {{ schema }}.ticket_order_audit_log IS
'Refuses DELETE, and UPDATE except for the erasure of personal data.';
COMMENT ON TRIGGER ticket_order_audit_log_no_truncate ON {{ schema }}.ticket_order_audit_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    id, order_id, reservation_id, show_id, old_status, new_status, amount_in_cents, currency,
    seat_count, payment_provider, order_created_at, error_code, xact_id, created_at
) ON TABLE {{ schema }}.ticket_order_audit_log TO {{ monitor_role }};
{% endif %}

-- object: audit/api_request_log.sql sha256=d4b31f0999668a62b690292f36b9f3073b82c852da480c05aad0b2871ae95d05
-- How the shop's endpoints responded, for the System Health dashboard. Written by
-- log_api_request().
CREATE TABLE {{ schema }}.api_request_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    endpoint text NOT NULL,
    method text NOT NULL,
    status_code integer NOT NULL,
    duration_ms double precision NOT NULL,
    -- For the rollup: rows whose transaction is below the xmin of a snapshot are final. See the
    -- decision on exact rollups.
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

-- Rows are appended in the order of time: BRIN finds a window by a summary of each megabyte, and
-- costs writers almost nothing.
CREATE INDEX api_request_log_created_at_idx
ON {{ schema }}.api_request_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX api_request_log_xact_id_idx ON {{ schema }}.api_request_log (xact_id);

-- Partitions inherit row triggers. TRUNCATE of one partition needs a trigger there, which
-- maintain_partitions() adds. ENABLE ALWAYS, so that session_replication_role = replica does not
-- disable them.
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
'Append-only log of API requests, with a partition for each month.';
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
COMMENT ON CONSTRAINT api_request_log_endpoint_check ON {{ schema }}.api_request_log IS
'Not empty, at most 200 characters.';
COMMENT ON CONSTRAINT api_request_log_method_check ON {{ schema }}.api_request_log IS
'At most 20 capital letters.';
COMMENT ON CONSTRAINT api_request_log_status_code_check ON {{ schema }}.api_request_log IS
'An HTTP status.';
COMMENT ON CONSTRAINT api_request_log_duration_ms_check ON {{ schema }}.api_request_log IS
'Finite and not negative.';
COMMENT ON INDEX {{ schema }}.api_request_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.api_request_log_xact_id_idx IS
'Serves the rollup, and views that read what is not rolled up yet.';
COMMENT ON TRIGGER api_request_log_append_only ON {{ schema }}.api_request_log IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER api_request_log_no_truncate ON {{ schema }}.api_request_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.api_request_log TO {{ monitor_role }};
{% endif %}

-- object: audit/change_log.sql sha256=5255f5eb29a97f5c9063dc33c6571deb8287021cf89a75115f6c07fdf10a02c8
-- Changes by hand: every change of a business row that is not made by ticketdb's functions and that
-- no other log records. Written by triggers, for a DBA who asks who changed what, and when.
CREATE TABLE {{ internal_schema }}.change_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    table_name text NOT NULL,
    operation text NOT NULL,
    row_key jsonb NOT NULL,
    rows_changed bigint NOT NULL DEFAULT 1,
    old_values jsonb,
    new_values jsonb,
    session_role text NOT NULL DEFAULT session_user,
    -- Written by a function that runs as its owner: current_user would always be the owner.
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

-- Rows are appended in the order of time: BRIN finds a window by a summary of each megabyte, and
-- costs writers almost nothing.
CREATE INDEX change_log_created_at_idx
ON {{ internal_schema }}.change_log USING brin (created_at) WITH (autosummarize = on);

-- Partitions inherit row triggers. TRUNCATE of one partition needs a trigger there, which
-- maintain_partitions() adds. ENABLE ALWAYS, so that session_replication_role = replica does not
-- disable them.
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
'Append-only log of changes by hand, with a partition for each month: who changed which row of '
'shows, seats, holds, orders, tickets, settings or alert rules, from which values to which. It '
'outlives the erasure of personal data, so it masks such values.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.table_name IS 'The table, without its schema.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.operation IS 'insert, update or delete.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.row_key IS
'The key of the row, before an update: its columns by name. The show alone if seats were added.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.rows_changed IS
'How many rows were changed: 1, or the number of seats that one statement added to a show.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.old_values IS
'What an update replaced or a delete removed, by column; *** for a personal or secret value.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.new_values IS
'What an update or an insert wrote, by column; *** for a personal or secret value.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.session_role IS 'The role that had logged in.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.acting_role IS
'The role of SET ROLE, or else the same.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.application_name IS
'The application_name of the client, such as psql.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.xact_id IS
'The transaction: changes that were made together have the same number.';
COMMENT ON COLUMN {{ internal_schema }}.change_log.created_at IS
'Start of the transaction that made the change; the partition key.';
COMMENT ON CONSTRAINT change_log_operation_check ON {{ internal_schema }}.change_log IS
'Only known operations; TRUNCATE is refused.';
COMMENT ON CONSTRAINT change_log_rows_changed_check ON {{ internal_schema }}.change_log IS
'At least one row.';
COMMENT ON INDEX {{ internal_schema }}.change_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON TRIGGER change_log_append_only ON {{ internal_schema }}.change_log IS
'Refuses UPDATE and DELETE.';
COMMENT ON TRIGGER change_log_no_truncate ON {{ internal_schema }}.change_log IS
'Refuses TRUNCATE.';

-- object: audit/partitioned_logs.sql sha256=508865e2871ced777ce6dc950837ca4c8d748e54ee6a249b7784285908220cac
-- The tables that are partitioned by month, in one place: for creating partitions, and for dropping
-- them.
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
'The tables that have a partition for each month. Their partitions are in the internal schema.';

-- object: audit/log_horizon.sql sha256=75bea53409573925da4333e6f5649ed5d4bd9e07fe372f7cd257a32be787295a
-- How far ahead the logs must have partitions, in one place: for creating them, and for checking
-- that none is missing.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_horizon()
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '4 months') AT TIME ZONE 'UTC';
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_horizon() IS
'The end of the months for which each log must have a partition: this one (UTC) and three more.';

-- object: audit/log_beginning.sql sha256=d918065f80c609f057ba4fd4b0eac0fe98a39bf73d89e0119adbf9ad9acc0546
-- The other end of log_horizon(): purge_history() drops the oldest months. Used by
-- get_seat_map_at(), which undoes what the logs say.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_beginning(p_logs text[])
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
-- Bounds of partitions are printed and parsed with these settings.
SET datestyle = 'ISO'
SET timezone = 'UTC'
AS $body$
SELECT max(oldest.begins_at)
FROM {{ internal_schema }}.partitioned_logs() AS log
CROSS JOIN LATERAL (
    SELECT min(substring(bounds.text FROM 'FROM [(]''([^'']+)''[)]')::timestamptz) AS begins_at
    FROM pg_inherits AS link
    CROSS JOIN LATERAL (
        -- No join, for which the caller's settings might choose a scan of all relations.
        SELECT
            pg_get_expr(
                (
                    SELECT child.relpartbound
                    FROM pg_class AS child
                    WHERE child.oid = link.inhrelid
                ),
                link.inhrelid
            ) AS text
    ) AS bounds
    WHERE link.inhparent = log.relation
) AS oldest
WHERE log.name = ANY(p_logs);
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_beginning(text[]) IS
'Since when all of these logs have their partitions.';

-- object: audit/create_log_partition.sql sha256=0f4f5c536bf43895a84ccb95e49935bee8cd5f07fe90495e3585f2dda2b845f8
-- Called by maintain_partitions() for one partition of a log. It is created as a table and then
-- attached: the log itself is locked no harder than SHARE UPDATE EXCLUSIVE, so that sales continue.
-- The default partition is locked while PostgreSQL checks that it has no row of the month.
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
    -- Not INCLUDING ALL: attaching creates the indexes, and an identity column of its own would
    -- number rows again.
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
                    'Rows of %s whose month has no partition: no event is ever lost.', v_name
                )
            ELSE format('Rows of %s of one month, UTC.', v_name)
        END
    );
    RETURN v_partition;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.create_log_partition(regclass, date) IS
'Creates the partition of a log for the month that begins on this day (UTC), or its default '
'partition. Returns its name, or NULL if it exists already.';

-- object: audit/maintain_partitions.sql sha256=a374b7327f1c8b2c0426c9c3e211580a4be84881ebb723fa761cdf3d66929f57
-- Scheduled hourly, to retry what was locked the last time. May be called by hand; does nothing if
-- there is nothing to do.
CREATE OR REPLACE FUNCTION {{ schema }}.maintain_partitions()
RETURNS TABLE (created_partition text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- Give up soon behind a query that reads a log for minutes: sales would queue behind this request.
-- There are months left to try again, and maintenance_backlog() reports that it is due.
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

            -- Months of rows in the default partition, which had no partition of their own. Rows
            -- beyond the horizon stay: a clock was wrong.
            EXECUTE format(
                'SELECT array_agg(DISTINCT date_trunc(''month'', created_at AT TIME ZONE '
                '''UTC'')::date) '
                'FROM %I.%I WHERE created_at < %L::timestamp AT TIME ZONE ''UTC''',
                v_inner, v_log.name || '_default', to_char(v_horizon, 'YYYY-MM-DD')
            ) INTO v_strays;
            IF v_strays IS NOT NULL THEN
                -- Rows cannot be deleted from an append-only table: replace the default partition,
                -- and insert its rows again.
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
'Creates the partitions of the logs for this month and three more, moves rows out of the default '
'partition if their month has one now, and returns the names of those created. Skips a log that '
'is locked, with a warning; the next call tries it again.';

-- object: audit/first_partitions.sql sha256=be16d54b9ed1b11bc0c88fc8b3c90e08e62d4596c4254528606c6f5142c77121
-- Partitions of the logs, from the day of installation; the job creates those of later months.
SELECT {{ schema }}.maintain_partitions();

-- object: audit/log_api_request.sql sha256=cfed088b47a84c6204605280d0c81963dae994036b3782cf1b526e6649ef0f78
-- Called by the shop for each request. Values that the log would refuse are adjusted: monitoring
-- must not break what it watches.
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
'Logs a request: route with placeholders in place of ids, HTTP method, HTTP status, duration in '
'milliseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.log_api_request(text, text, integer, double precision)
TO {{ app_role }};
{% endif %}

-- object: audit/audit_seat_reservation.sql sha256=79986680dee98c79586dd82e29a639a46c2a630e921b55bc50585f2d7327a9bc
-- Trigger function: logs each change of a hold, by whatever statement. Runs as the caller: a role
-- that may not write the log may not change a hold.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.audit_seat_reservation()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_event_type text := CASE NEW.status
        WHEN 'active' THEN 'created'
        -- Sold at the counter in one step: not a hold that a buyer completed.
        WHEN 'completed' THEN CASE TG_OP WHEN 'INSERT' THEN 'issued' ELSE 'completed' END
        ELSE NEW.status
    END;
    v_hold_seconds double precision;
    v_metadata jsonb := '{}'::jsonb;
BEGIN
    IF v_event_type = 'issued' AND current_setting('commit_siblings') = '997' THEN
        -- By issue_tickets(), whose line names the staff; see log_change() for the number.
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.status = OLD.status THEN
            v_event_type := 'extended';
        ELSIF OLD.status = 'expired' AND NEW.status = 'completed' THEN
            -- A late payment: that hold ended, and was counted, when it expired.
            v_metadata := '{"late": true}'::jsonb;
        ELSIF NEW.ended_at IS NOT NULL THEN
            -- Not negative, in case the clock was set back.
            v_hold_seconds := GREATEST(
                0, extract(EPOCH FROM NEW.ended_at - NEW.created_at)::double precision
            );
        END IF;
    END IF;

    -- Claims are written before this row, and released after it: the live ones are those that the
    -- event is about. FILTER instead of WHERE, so that they are found by their reservation and not
    -- by the index of all live claims.
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
'Trigger function: logs an event of a hold in seat_reservation_audit_log.';

-- object: audit/seat_reservations_audit.sql sha256=29f7cfab2fd14166e85421a00b794e94d53875cf226cf9f50b714bd535dbf86d
-- Logs holds, by whatever statement they change: see audit_seat_reservation(). ENABLE ALWAYS, so
-- that session_replication_role = replica does not disable them.
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

-- object: audit/audit_ticket_order.sql sha256=64857dc96af00fdaacecec47398e3444cbbf5c0fa5af3b4f2d6db675f9d30527
-- Trigger function: logs each change of an order, by whatever statement. Runs as the caller: a role
-- that may not write the log may not change an order.
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
        -- The order keeps the message of its last failure; a later success is not logged with it.
        CASE WHEN NEW.status = 'failed' THEN NEW.error_message END
    );
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.audit_ticket_order() IS
'Trigger function: logs each change of status of an order in ticket_order_audit_log.';

-- object: audit/ticket_orders_audit.sql sha256=8860804abc5dc8d22478a5393be12c8342c5b98838aa56679269f8a3e2f916ba
-- Logs orders, by whatever statement they change: see audit_ticket_order(). ENABLE ALWAYS, so that
-- session_replication_role = replica does not disable them.
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

-- object: audit/log_change.sql sha256=82e424587969431d57d9af473c9d9d96e5d58bad7e893cf67dc4ae341bbc1abc
-- Trigger function: writes a row into change_log. Its arguments are two lists with commas: the
-- columns of the table's key, and those whose values are personal or secret. Runs as the owner: a
-- role that may change a show need not be able to write the log, and cannot avoid it.
--
-- The triggers leave out what ticketdb's functions do to holds, seats and orders, since other logs
-- record it. They recognise these functions by SET commit_siblings = 997 in their heads, which
-- lasts exactly as long as they run and has no other effect: the server reads it only at commit. A
-- custom setting would do, but only a superuser may give one to a function.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_change()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The row must not depend on the settings of the session.
SET timezone = 'UTC'
SET extra_float_digits = 1
AS $body$
DECLARE
    v_old constant jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    v_new constant jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    v_key constant text[] := string_to_array(TG_ARGV[0], ',');
    v_masked constant text[] := string_to_array(TG_ARGV[1], ',');
    -- The columns that the trigger is for: other triggers log the rest of the same change.
    v_columns constant text[] := ARRAY(
        SELECT columns.attname::text
        FROM pg_trigger AS trigger
        INNER JOIN pg_attribute AS columns
            ON
                columns.attrelid = trigger.tgrelid
                AND columns.attnum > 0
                AND NOT columns.attisdropped
                AND (
                    columns.attnum = ANY(trigger.tgattr)
                    OR cardinality(trigger.tgattr::smallint[]) = 0
                )
        WHERE
            trigger.tgrelid = TG_RELID
            AND trigger.tgname = TG_NAME
    );
BEGIN
    INSERT INTO {{ internal_schema }}.change_log (
        table_name, operation, row_key, old_values, new_values
    )
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
'Trigger function: logs a change of a row in change_log. Arguments: the columns of the key, and '
'those whose values are masked.';

-- object: audit/log_new_seats.sql sha256=70774cbd86c5790b64e18e22b342aa2635a1dbae35abf2b039998463329a5463
-- Trigger function: a shop may add the 80,000 seats of a stadium in one statement, which gets one
-- row.
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
'Trigger function: logs in change_log how many seats a statement has added to which show.';

-- object: audit/shows_change_log.sql sha256=98d6212fa7db75cdce7e826fc18c57307002a20134fedc8c518e082d3bf2cffe
-- Few rows, only changed by hand: every change is logged.
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
'Logs each show that is deleted, which is possible only while nothing refers to it.';

-- object: audit/show_seats_change_log.sql sha256=30256dbfd9c0eae3650ffc6c8a6f0a76db09b02e5e3370adb9a64dffc79b2ef5
-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER show_seats_change_log_insert
AFTER INSERT ON {{ schema }}.show_seats
REFERENCING NEW TABLE AS new_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.log_new_seats();

CREATE OR REPLACE TRIGGER show_seats_change_log_update
AFTER UPDATE OF id, show_id, section, row_label, seat_number, price_in_cents
ON {{ schema }}.show_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER show_seats_change_log_update_by_hand
AFTER UPDATE OF row_position, seat_position, status, reserved_by, reserved_until
ON {{ schema }}.show_seats
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
'Logs seats that are added, a row for each statement and show.';
COMMENT ON TRIGGER show_seats_change_log_update ON {{ schema }}.show_seats IS
'Logs each change of the place or the price of a seat.';
COMMENT ON TRIGGER show_seats_change_log_update_by_hand ON {{ schema }}.show_seats IS
'Logs each change by hand of the state of a seat.';
COMMENT ON TRIGGER show_seats_change_log_delete ON {{ schema }}.show_seats IS
'Logs each seat that is deleted, which is possible only while nothing refers to it.';

-- object: audit/seat_reservations_change_log.sql sha256=972017763fc8af7ce404ab26b8dfb1dcaff704f3a2c65e5e8fafcdc3a695c547
-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement. Every new hold is in
-- seat_reservation_audit_log already, which saves a trigger on the hot path.
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
'Logs each change of the fixed columns of a hold.';
COMMENT ON TRIGGER seat_reservations_change_log_update_by_hand ON {{ schema }}.seat_reservations IS
'Logs each change by hand of the state of a hold.';

-- object: audit/reservation_seats_change_log.sql sha256=7adbca0552637e0536149748206c24cf042b5c4ce93d188c66e8777aaaae4940
-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER reservation_seats_change_log_insert
AFTER INSERT ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('reservation_id,show_seat_id,show_id');

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update
AFTER UPDATE OF reservation_id, show_seat_id, show_id, currency
ON {{ schema }}.reservation_seats
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'reservation_id,show_seat_id,show_id'
);

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update_by_hand
AFTER UPDATE OF price_in_cents, ticket_type, released_at ON {{ schema }}.reservation_seats
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
'Logs each change of the fixed columns of a claim.';
COMMENT ON TRIGGER reservation_seats_change_log_update_by_hand ON {{ schema }}.reservation_seats IS
'Logs each change by hand of the state of a claim.';

-- object: audit/ticket_orders_change_log.sql sha256=d0208863c9d12bbf5ce98a114aad5e8cae84d0f5b9b703f23677e5de8a0ead89
-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER ticket_orders_change_log_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update
AFTER UPDATE OF id, show_id, reservation_id, total_amount_in_cents, currency, created_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update_by_hand
AFTER UPDATE OF seat_ids, status, idempotency_key, payment_provider, payment_intent_id,
error_message, cancel_reason, refunded_amount_in_cents, paid_at
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
'Logs each change of the fixed columns of an order.';
COMMENT ON TRIGGER ticket_orders_change_log_update_by_hand ON {{ schema }}.ticket_orders IS
'Logs each change by hand of the state of an order.';

-- object: audit/tickets_change_log.sql sha256=f6e9ee32b0ac8680fab9aef47d410e4ba005aa360adb5ae3211a10efd3892ca1
-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
CREATE OR REPLACE TRIGGER tickets_change_log_insert
AFTER INSERT ON {{ schema }}.tickets
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update
AFTER UPDATE OF id, show_id, order_id, price_in_cents, currency, ticket_code, ticket_type,
created_at
ON {{ schema }}.tickets
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update_by_hand
AFTER UPDATE OF show_seat_id, status, checked_in_at, check_in_gate, check_in_nonce
ON {{ schema }}.tickets
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
'Logs each change of the fixed columns of a ticket.';
COMMENT ON TRIGGER tickets_change_log_update_by_hand ON {{ schema }}.tickets IS
'Logs each change by hand of the state of a ticket.';

-- object: audit/payment_events_change_log.sql sha256=7e8d5d4b063659dec896d8960191550e448b8771ca5be85d7871b67893848e71
-- The table is append-only, and rows that ticketdb's functions add are not logged here: see
-- log_change().
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

-- object: audit/payment_intents_change_log.sql sha256=a50fc3111144d4fdc217f05a0778f682f8721ededbacf96dc5c0701a5b0453f7
-- Rows that ticketdb's functions add are not logged here, see log_change(). They never update one.
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

-- object: audit/ticket_order_keys_change_log.sql sha256=97c9dd52915449399eb9975ec110845ab52879b6ff4de51870545daad243134d
-- What ticketdb's functions do is not logged here, see log_change(): they add keys, and erase them.
CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_insert
AFTER INSERT ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_update
AFTER UPDATE OF show_id, order_id ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_update_by_hand
AFTER UPDATE OF idempotency_key ON {{ internal_schema }}.ticket_order_keys
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change('idempotency_key,show_id');

ALTER TABLE {{ internal_schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update,
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update_by_hand;

COMMENT ON TRIGGER ticket_order_keys_change_log_insert ON {{ internal_schema }}.ticket_order_keys IS
'Logs each key that is added by hand.';
COMMENT ON TRIGGER ticket_order_keys_change_log_update ON {{ internal_schema }}.ticket_order_keys IS
'Logs each change of the order of a key.';
COMMENT ON TRIGGER ticket_order_keys_change_log_update_by_hand
ON {{ internal_schema }}.ticket_order_keys IS
'Logs each change by hand of a key.';

-- object: audit/refunds_change_log.sql sha256=4a7e8a6a163e66e18e074eb13647e4d65566d34cef046940b7a91af9cb7a1b88
-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement.
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
'Logs each change of the fixed columns of a refund.';
COMMENT ON TRIGGER refunds_change_log_update_by_hand ON {{ schema }}.refunds IS
'Logs each change by hand of the state of a refund.';

-- object: audit/currencies_change_log.sql sha256=1570ed2ea0091a23d5da317871b3466b1aebe974851ea561aa50f7837e1cecfc
-- Few rows, only changed by hand: every change is logged.
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

-- object: audit/ticketing_settings_change_log.sql sha256=e6a256fa3fa2455263f96417fc6061fed6d3c5a33a8ee0fd4f1c50a94acea92a
-- Few rows, only changed by hand: every change is logged.
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
'Logs the row of settings if it is added by hand.';
COMMENT ON TRIGGER ticketing_settings_change_log_update ON {{ schema }}.ticketing_settings IS
'Logs each change of a setting.';

-- object: audit/seat_reservations_keep_rows.sql sha256=9d019c966b8a97d6b11f2dfdcc2c855ddf9bfd3aae825b40df044c1640539dbd
-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER seat_reservations_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.seat_reservations
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A hold is released, never deleted; its personal columns may be emptied.'
);

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_keep_rows;

COMMENT ON TRIGGER seat_reservations_keep_rows ON {{ schema }}.seat_reservations IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/reservation_seats_keep_rows.sql sha256=5dd96a938f79cf2fe47da027d39786058e2274cfab0685f8950e9b009a4173bc
-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER reservation_seats_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.reservation_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A claim is released, never deleted.'
);

ALTER TABLE {{ schema }}.reservation_seats
ENABLE ALWAYS TRIGGER reservation_seats_keep_rows;

COMMENT ON TRIGGER reservation_seats_keep_rows ON {{ schema }}.reservation_seats IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/ticket_orders_keep_rows.sql sha256=14f90184f756b940a02cab60c91d668a1bf4ccb716c0d6295b830bd0eeda3436
-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER ticket_orders_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.ticket_orders
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'An order is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_keep_rows;

COMMENT ON TRIGGER ticket_orders_keep_rows ON {{ schema }}.ticket_orders IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/tickets_keep_rows.sql sha256=061928fbf4bb80bc8ad94cab5d109427e26aa2c05b1edc98d5f4a4ead07a03ba
-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER tickets_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.tickets
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A ticket is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.tickets
ENABLE ALWAYS TRIGGER tickets_keep_rows;

COMMENT ON TRIGGER tickets_keep_rows ON {{ schema }}.tickets IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/payment_intents_keep_rows.sql sha256=82620e8bcf1c2b5f2167aca45c3d67268147036f81a2d1417951cb9190f37504
-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER payment_intents_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.payment_intents
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Money may still come from it.'
);

ALTER TABLE {{ internal_schema }}.payment_intents
ENABLE ALWAYS TRIGGER payment_intents_keep_rows;

COMMENT ON TRIGGER payment_intents_keep_rows ON {{ internal_schema }}.payment_intents IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/ticket_order_keys_keep_rows.sql sha256=5e658b5e87de93444b7e579a5c962c78e964af0e683217f1ee9db5396a48202f
-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER ticket_order_keys_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.ticket_order_keys
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A key names its order for ever.'
);

ALTER TABLE {{ internal_schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_keep_rows;

COMMENT ON TRIGGER ticket_order_keys_keep_rows ON {{ internal_schema }}.ticket_order_keys IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/refunds_keep_rows.sql sha256=fa988a31a4268123e0349b58c85963909bbe242fc346b715da2d890662e8829e
-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER refunds_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.refunds
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A refund is done, never deleted.'
);

ALTER TABLE {{ schema }}.refunds
ENABLE ALWAYS TRIGGER refunds_keep_rows;

COMMENT ON TRIGGER refunds_keep_rows ON {{ schema }}.refunds IS
'Refuses DELETE and TRUNCATE.';

-- object: audit/shows_keep_rows.sql sha256=658ba1a6ee5453ef43365392c2fd2e7759633a2c8ff5eca6154f086202546934
-- TRUNCATE would not be logged.
CREATE OR REPLACE TRIGGER shows_keep_rows
BEFORE TRUNCATE ON {{ schema }}.shows
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Delete what nothing refers to with DELETE, which is logged.'
);

ALTER TABLE {{ schema }}.shows
ENABLE ALWAYS TRIGGER shows_keep_rows;

COMMENT ON TRIGGER shows_keep_rows ON {{ schema }}.shows IS
'Refuses TRUNCATE.';

-- object: audit/show_seats_keep_rows.sql sha256=5c1ea1d1bfc85aec2eae45581adaa0eea169bead8ef93350faf9bb8b03d14fad
-- TRUNCATE would not be logged.
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
