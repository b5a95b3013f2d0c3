-- Read by the views of reservations: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.reservation_metrics(
    p_since timestamptz,
    p_show_id uuid DEFAULT NULL
)
RETURNS SETOF {{ internal_schema }}.reservation_minutes
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The planner cannot estimate a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Since its estimates are guesses, JIT compilation would take longer than the query itself.
SET jit = off
ROWS 1500
AS $body$
BEGIN
    RETURN QUERY
    SELECT rolled_up.*
    FROM {{ internal_schema }}.reservation_minutes AS rolled_up
    WHERE
        p_show_id IS NULL
        AND rolled_up.show_id IS NULL
        AND rolled_up.minute >= p_since
    UNION ALL
    SELECT rolled_up.*
    FROM {{ internal_schema }}.reservation_minutes AS rolled_up
    WHERE
        rolled_up.show_id = p_show_id
        AND rolled_up.minute >= p_since
    UNION ALL
    SELECT recent.*
    FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
    CROSS JOIN LATERAL {{ internal_schema }}.reservation_events(
        tail.from_xact_id, tail.below_xact_id, tail.after_id
    ) AS recent
    WHERE
        recent.show_id IS NOT DISTINCT FROM p_show_id
        AND recent.minute >= p_since;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.reservation_metrics(timestamptz, uuid) IS
'Events of reservations since p_since, of one show or of all, by minute. Rows are to be added up: '
'a minute may have several.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.reservation_metrics(
    timestamptz, uuid
) TO {{ monitor_role }};
{% endif %}
