-- For health and lock_waits: who has a transaction open, and since when. No text of any statement:
-- that may name people. What other people's sessions do is told only to members of
-- pg_read_all_stats: to the owner of this function, where it is one.
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
    -- The transaction of a parallel worker is its leader's.
    AND activity.leader_pid IS NULL
    -- It gives way to everybody, and takes as long as a large table takes.
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
'Transactions that are open on this server, prepared ones included: role, state, whether in this '
'database, how many transactions have begun since it got its number (NULL while it has none), and '
'for how many seconds it has been open and idle. For the views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.open_transactions() TO {{ monitor_role }};
{% endif %}
