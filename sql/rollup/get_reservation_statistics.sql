-- Counts of reservation events in the last hours, for one show or for all.
CREATE OR REPLACE FUNCTION {{ schema }}.get_reservation_statistics(
    p_show_id uuid DEFAULT NULL,
    p_hours integer DEFAULT 24
)
-- A set, although always one row: REST layers return sets as arrays, and the client in the
-- operations guide takes the first element.
RETURNS TABLE (
    total_created bigint,
    total_completed bigint,
    total_expired bigint,
    total_released bigint,
    total_extended bigint,
    total_failed bigint,
    avg_hold_seconds double precision,
    expiration_rate double precision
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
ROWS 1
AS $body$
BEGIN
    IF p_hours IS NULL OR p_hours NOT BETWEEN 1 AND 8760 THEN
        RAISE EXCEPTION 'p_hours must be between 1 and 8760, not %', COALESCE(p_hours::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT
        counts.created,
        counts.completed,
        counts.expired,
        counts.released,
        counts.extended,
        counts.failed,
        counts.seconds / NULLIF(counts.ended, 0),
        COALESCE(counts.expired::double precision / NULLIF(counts.created, 0), 0)
    FROM (
        SELECT
            COALESCE(sum(metric.created), 0)::bigint AS created,
            COALESCE(sum(metric.completed), 0)::bigint AS completed,
            COALESCE(sum(metric.expired), 0)::bigint AS expired,
            COALESCE(sum(metric.released), 0)::bigint AS released,
            COALESCE(sum(metric.extended), 0)::bigint AS extended,
            COALESCE(sum(metric.failed), 0)::bigint AS failed,
            sum(metric.holds_ended + metric.releases_ended) AS ended,
            sum(metric.hold_microseconds + metric.release_microseconds)::double precision / 1e6
            AS seconds
        FROM {{ internal_schema }}.reservation_metrics(
            {{ internal_schema }}.window_start(make_interval(hours => p_hours)), p_show_id
        ) AS metric
    ) AS counts;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_reservation_statistics(uuid, integer) IS
'Counts of reservation events in the last p_hours hours (1 to 8760, otherwise error 22023), of '
'one show or of all. expiration_rate is expired / created, 0 when nothing was created; '
'avg_hold_seconds is NULL when no hold ended.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_reservation_statistics(uuid, integer)
TO {{ app_role }}, {{ monitor_role }};
{% endif %}
