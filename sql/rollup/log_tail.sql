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
