-- Used by the view health and the alert maintenance_behind: work that the jobs gave up because of a
-- lock, or did not begin.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.maintenance_backlog()
RETURNS TABLE (task text, behind_seconds double precision)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Bounds of partitions are printed and parsed with these settings. Months are counted in UTC.
SET datestyle = 'ISO'
SET timezone = 'UTC'
SET enable_seqscan = off
ROWS 8
AS $body$
DECLARE
    v_settings {{ schema }}.ticketing_settings;
BEGIN
    SELECT settings.* INTO v_settings FROM {{ schema }}.ticketing_settings AS settings;
    RETURN QUERY
    WITH logs AS MATERIALIZED (
        SELECT log.*
        FROM {{ internal_schema }}.log_partitions() AS log
    )

    SELECT
        due.task,
        GREATEST(extract(EPOCH FROM now() - due.since), 0)::double precision
    FROM (
        -- The first missing month has been due since it came within the horizon.
        SELECT
            'partitions of ' || log.log AS task,
            log.ends_at - age({{ internal_schema }}.log_horizon(), date_trunc('month', now()))
            + interval '1 month' AS since
        FROM logs AS log
        UNION ALL
        SELECT
            'purge of ' || log.log AS task,
            log.oldest_ends_at
            + make_interval(hours => 24 * v_settings.audit_retention_days) AS since
        FROM logs AS log
        UNION ALL
        SELECT
            'personal data' AS task,
            LEAST(
                (
                    SELECT min(hold.ended_at)
                    FROM {{ schema }}.seat_reservations AS hold
                    WHERE
                        hold.ended_at IS NOT NULL
                        AND (
                            hold.user_id IS NOT NULL
                            OR hold.email IS NOT NULL
                            OR hold.user_agent IS NOT NULL
                            OR hold.ip_address IS NOT NULL
                        )
                ),
                (
                    SELECT min(failed.created_at)
                    FROM {{ schema }}.ticket_orders AS failed
                    WHERE failed.error_message IS NOT NULL
                )
            ) + make_interval(hours => 24 * v_settings.personal_data_retention_days) AS since
    ) AS due;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.maintenance_backlog() IS
'Tasks of maintain_partitions() and purge_history(), and the seconds for which each has been due; '
'0 if nothing is due. Used by the view health.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.maintenance_backlog() TO {{ monitor_role }};
{% endif %}
