-- For the view health, whose readers may not look into the partitions.
CREATE OR REPLACE FUNCTION {{ schema }}.log_partitions()
RETURNS TABLE (log text, last_day timestamptz, has_strays boolean)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 3
AS $body$
BEGIN
    FOR log IN SELECT logs.name FROM {{ schema }}.partitioned_logs() AS logs (name) LOOP
        SELECT max(upper_bound.value::timestamptz)
        INTO last_day
        FROM pg_inherits AS link
        INNER JOIN pg_class AS child ON child.oid = link.inhrelid
        CROSS JOIN LATERAL substring(
            pg_get_expr(child.relpartbound, child.oid) FROM 'TO \(''([^'']+)''\)'
        ) AS upper_bound (value)
        WHERE link.inhparent = to_regclass(format('%I.%I', {{ schema | literal }}, log));

        EXECUTE format(
            'SELECT EXISTS (SELECT FROM %I.%I)', {{ schema | literal }}, log || '_default'
        )
        INTO has_strays;
        RETURN NEXT;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.log_partitions() IS
'Up to when each log has partitions, and whether rows are in its default partition. For the view '
'health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.log_partitions() TO {{ monitor_role }};
{% endif %}
