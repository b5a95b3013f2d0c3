-- Used by cleanup_job_health and system_health: the backlog of the cleanup.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.overdue_hold_totals(
    OUT overdue_holds bigint,
    OUT oldest_overdue_seconds double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $body$
BEGIN
    SELECT
        count(*),
        COALESCE(extract(EPOCH FROM now() - min(hold.expires_at))::double precision, 0)
    INTO
        overdue_holds,
        oldest_overdue_seconds
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.is_active
        AND hold.expires_at <= now();
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.overdue_hold_totals() IS
'Number of overdue holds, and the seconds for which the oldest has been overdue. Used by the '
'monitoring views.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.overdue_hold_totals() TO {{ monitor_role }};
{% endif %}
