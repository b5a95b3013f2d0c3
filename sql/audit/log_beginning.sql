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
