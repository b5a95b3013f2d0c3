-- Used by health and lock_waits. Shows no text of any statement, since that may contain personal
-- data. Only members of pg_read_all_stats see what sessions of other roles do: the owner of this
-- function may be one.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.open_transactions()
RETURNS TABLE (
    role_name text,
    state text,
    is_here boolean,
    xid_age integer,
    age_seconds double precision,
    idle_seconds double precision
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 10
AS $body$
SELECT
    COALESCE(activity.usename::text, activity.backend_type),
    COALESCE(activity.state, 'active'),
    activity.datname IS NOT DISTINCT FROM current_database(),
    age(activity.backend_xid),
    GREATEST(extract(EPOCH FROM now() - activity.xact_start)::double precision, 0),
    CASE
        WHEN activity.state LIKE 'idle in transaction%'
            THEN GREATEST(
                extract(EPOCH FROM now() - activity.state_change)::double precision, 0
            )
    END
FROM pg_stat_activity AS activity
WHERE
    activity.xact_start IS NOT NULL
    AND activity.pid <> pg_backend_pid()
    -- A parallel worker is part of its leader's transaction.
    AND activity.leader_pid IS NULL
    -- Autovacuum gives way to other sessions, and may take long on a large table.
    AND activity.backend_type IS DISTINCT FROM 'autovacuum worker'
UNION ALL
SELECT
    prepared.owner::text,
    'prepared',
    prepared.database = current_database(),
    age(prepared.transaction),
    GREATEST(extract(EPOCH FROM now() - prepared.prepared)::double precision, 0),
    NULL
FROM pg_prepared_xacts AS prepared;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.open_transactions() IS
'Open transactions of this server, including prepared ones: role, state, whether in this '
'database, the number of transactions begun since it got its own number (NULL if it has none), '
'and its age and idle time in seconds. Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.open_transactions() TO {{ monitor_role }};
{% endif %}
