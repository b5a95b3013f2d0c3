-- Used by the view health, whose readers have no access to the partitions.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_partitions()
RETURNS TABLE (
    log text,
    ends_at timestamptz,
    has_strays boolean,
    oldest_ends_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Bounds of partitions are printed and parsed with these settings.
SET datestyle = 'ISO'
SET timezone = 'UTC'
ROWS 4
AS $body$
DECLARE
    v_log record;
BEGIN
    FOR v_log IN SELECT logs.* FROM {{ internal_schema }}.partitioned_logs() AS logs LOOP
        log := v_log.name;
        SELECT
            COALESCE(max(upper_bound.value::timestamptz), 'epoch'),
            min(upper_bound.value::timestamptz)
        INTO
            ends_at,
            oldest_ends_at
        FROM pg_inherits AS link
        INNER JOIN pg_class AS child ON child.oid = link.inhrelid
        CROSS JOIN LATERAL substring(
            pg_get_expr(child.relpartbound, child.oid) FROM 'TO [(]''([^'']+)''[)]'
        ) AS upper_bound (value)
        WHERE link.inhparent = v_log.relation;

        -- Without rows beyond the horizon, which come from a wrong clock: no partition is made for
        -- them.
        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I AS event WHERE event.created_at < $1)',
            {{ internal_schema | literal }}, log || '_default'
        )
        INTO has_strays
        USING {{ internal_schema }}.log_horizon();
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_partitions() IS
'For each log: the end of its last partition, whether its default partition has rows that '
'maintain_partitions() would move, and the end of its oldest partition. Used by the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.log_partitions() TO {{ monitor_role }};
{% endif %}
