-- Used by connection_pool. Only members of pg_read_all_stats see the state of other roles'
-- connections: the owner of this function may be one, roles that monitor are not.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.connections_by_state()
RETURNS TABLE (state text, connections bigint)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 6
AS $body$
SELECT
    states.state,
    count(activity.pid)
FROM (
    VALUES
    ('active'), ('idle'), ('idle in transaction'), ('idle in transaction (aborted)'),
    ('other'), ('not visible')
) AS states (state)
LEFT JOIN (
    SELECT
        backend.pid,
        CASE
            WHEN backend.state IS NULL THEN 'not visible'
            WHEN backend.state IN ('fastpath function call', 'disabled') THEN 'other'
            ELSE backend.state
        END AS state
    FROM pg_stat_activity AS backend
    WHERE
        -- Background processes have no user, or are not client backends.
        backend.usesysid IS NOT NULL
        AND COALESCE(backend.backend_type, 'client backend') = 'client backend'
) AS activity ON activity.state = states.state
GROUP BY states.state;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.connections_by_state() IS
'Connections of clients to this server by state; not visible where the owner of the function may '
'not see it. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.connections_by_state() TO {{ monitor_role }};
{% endif %}
