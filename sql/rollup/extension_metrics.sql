-- Read by the views of extensions: what is in the rollups and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.extension_metrics(p_days integer)
RETURNS TABLE (
    day date,
    extensions bigint,
    unique_reservations bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 7
AS $body$
BEGIN
    RETURN QUERY
    WITH days AS (
        SELECT
            this.zone,
            this.today - n.days_ago AS day,
            -- A range that contains the day in any time zone.
            (this.today - n.days_ago - 1)::timestamp AT TIME ZONE 'UTC' AS earliest,
            (this.today - n.days_ago + 2)::timestamp AT TIME ZONE 'UTC' AS latest
        FROM (
            SELECT
                settings.business_time_zone AS zone,
                (now() AT TIME ZONE settings.business_time_zone)::date AS today
            FROM {{ schema }}.ticketing_settings AS settings
        ) AS this
        CROSS JOIN generate_series(0, p_days - 1) AS n (days_ago)
    ),

    extended AS (
        SELECT
            (metric.minute AT TIME ZONE settings.business_time_zone)::date AS day,
            sum(metric.extended)::bigint AS extensions
        FROM {{ schema }}.ticketing_settings AS settings
        CROSS JOIN LATERAL {{ internal_schema }}.reservation_metrics(
            now() - make_interval(hours => 24 * (p_days + 1))
        ) AS metric
        -- A wrong clock may have written times so late that they have no date in some time zones.
        WHERE metric.minute < now() + interval '2 days'
        GROUP BY 1
    ),

    recently AS (
        SELECT DISTINCT
            recent.reservation_id,
            (recent.quarter AT TIME ZONE settings.business_time_zone)::date AS day
        FROM {{ schema }}.ticketing_settings AS settings
        CROSS JOIN LATERAL {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.extension_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE
            recent.quarter >= now() - make_interval(hours => 24 * (p_days + 1))
            AND recent.quarter < now() + interval '2 days'
    ),

    first_that_day AS (
        SELECT
            recently.day,
            count(*) AS reservations
        FROM recently
        INNER JOIN days ON days.day = recently.day
        WHERE
            NOT EXISTS (
                SELECT
                FROM {{ internal_schema }}.extended_reservations AS before
                WHERE
                    before.reservation_id = recently.reservation_id
                    AND (before.quarter AT TIME ZONE days.zone)::date = recently.day
            )
        GROUP BY recently.day
    )

    SELECT
        days.day,
        COALESCE(extended.extensions, 0),
        COALESCE(rolled_up.reservations, 0) + COALESCE(first_that_day.reservations, 0)
    FROM days
    LEFT JOIN extended ON extended.day = days.day
    LEFT JOIN first_that_day ON first_that_day.day = days.day
    CROSS JOIN LATERAL (
        SELECT sum(counted.reservations)::bigint AS reservations
        FROM {{ internal_schema }}.extension_quarters AS counted
        WHERE
            counted.quarter >= days.earliest
            AND counted.quarter < days.latest
            AND (counted.quarter AT TIME ZONE days.zone)::date = days.day
            AND (counted.previous_quarter AT TIME ZONE days.zone)::date < days.day
    ) AS rolled_up;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.extension_metrics(integer) IS
'Extensions by day for the last p_days days in business_time_zone, today included: the number of '
'extensions, and of different reservations extended.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.extension_metrics(integer) TO {{ monitor_role }};
{% endif %}
