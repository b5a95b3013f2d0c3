-- For lock_waits. Who waits for a lock and since when is seen by everybody in pg_locks, whatever
-- the owner of this function may see of sessions.
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
    -- When it began to wait is noted a moment after it did.
    COALESCE(
        max(GREATEST(extract(EPOCH FROM now() - wanted.waitstart)::double precision, 0)), 0
    )
FROM pg_locks AS wanted
-- A row that is locked is waited for as a transaction, which belongs to no database.
INNER JOIN pg_stat_activity AS activity ON activity.pid = wanted.pid
WHERE
    NOT wanted.granted
    AND activity.datname = current_database();
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_wait_totals() IS
'Sessions of this database that wait for a lock, and for how many seconds the longest has. For the '
'views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.lock_wait_totals() TO {{ monitor_role }};
{% endif %}
