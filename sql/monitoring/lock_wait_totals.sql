-- Used by lock_waits. pg_locks shows to every role which sessions wait for a lock and since when,
-- also where pg_stat_activity does not.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_wait_totals(
    OUT waiting_sessions bigint,
    OUT longest_wait_seconds double precision
)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    count(DISTINCT wanted.pid),
    -- waitstart is NULL for a moment after the wait has begun.
    COALESCE(
        max(GREATEST(extract(EPOCH FROM now() - wanted.waitstart)::double precision, 0)), 0
    )
FROM pg_locks AS wanted
-- The database is that of the session: waiting for a locked row is waiting for a transaction, which
-- belongs to no database.
INNER JOIN pg_stat_activity AS activity ON activity.pid = wanted.pid
WHERE
    NOT wanted.granted
    AND activity.datname = current_database();
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_wait_totals() IS
'Sessions of this database that wait for a lock: their number, and the longest wait in seconds. '
'Used by the monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.lock_wait_totals() TO {{ monitor_role }};
{% endif %}
