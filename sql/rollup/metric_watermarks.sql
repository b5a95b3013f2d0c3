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
