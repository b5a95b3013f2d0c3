-- Counts of the last hours, for one show or all.
CREATE OR REPLACE FUNCTION {{ schema }}.get_reservation_statistics(
    p_show_id uuid DEFAULT NULL,
    p_hours integer DEFAULT 24
)
-- A set, although always one row: REST layers hand sets out as arrays, and the guide's client takes
-- the first element.
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
SET search_path = {{ schema }}, pg_temp
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
        counts.avg_hold_seconds,
        COALESCE(counts.expired::double precision / NULLIF(counts.created, 0), 0)
    FROM (
        SELECT
            count(*) FILTER (WHERE event.event_type = 'created') AS created,
            count(*) FILTER (WHERE event.event_type = 'completed') AS completed,
            count(*) FILTER (WHERE event.event_type = 'expired') AS expired,
            count(*) FILTER (WHERE event.event_type = 'released') AS released,
            count(*) FILTER (WHERE event.event_type = 'extended') AS extended,
            count(*) FILTER (WHERE event.event_type = 'failed') AS failed,
            avg(event.hold_seconds) AS avg_hold_seconds
        FROM {{ schema }}.seat_reservation_audit_log AS event
        WHERE
            event.created_at > now() - make_interval(hours => p_hours)
            AND (p_show_id IS NULL OR event.show_id = p_show_id)
    ) AS counts;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_reservation_statistics(uuid, integer) IS
'Events of the last p_hours hours (1 to 8760, otherwise error 22023), of one show or of all. '
'expiration_rate is expired / created, 0 when nothing was created; avg_hold_seconds is NULL when '
'no hold ended.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_reservation_statistics(uuid, integer)
TO {{ app_role }}, {{ monitor_role }};
{% endif %}
