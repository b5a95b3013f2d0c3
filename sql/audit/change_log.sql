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
