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
