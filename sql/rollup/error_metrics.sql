-- Read by the views of errors: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.error_metrics(p_since timestamptz, p_limit integer)
RETURNS TABLE (
    error_message text,
    occurrences bigint,
    last_seen_at timestamptz
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
ROWS 10
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        minutes.error_message,
        sum(minutes.occurrences)::bigint,
        max(minutes.last_seen_at)
    FROM (
        SELECT rolled_up.*
        FROM {{ internal_schema }}.error_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT recent.*
        FROM {{ internal_schema }}.log_tail('seat_reservation_audit_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.error_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS minutes
    GROUP BY minutes.error_message
    ORDER BY
        2 DESC,
        3 DESC,
        1
    LIMIT p_limit;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.error_metrics(timestamptz, integer) IS
'The p_limit most frequent error messages of refused calls about reservations since p_since: how '
'often each occurred, and when last.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.error_metrics(
    timestamptz, integer
) TO {{ monitor_role }};
{% endif %}
