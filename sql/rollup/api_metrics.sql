-- Read by the views of endpoints: the minutes in the rollup and the rows of the log that are not
-- rolled up yet. Within one statement both come from its snapshot, so that no event is missed or
-- counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.api_metrics(p_since timestamptz)
RETURNS TABLE (
    endpoint text,
    requests bigint,
    errors bigint,
    duration_microseconds bigint
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
ROWS 100
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        counted.endpoint,
        sum(counted.requests)::bigint,
        sum(counted.errors)::bigint,
        sum(counted.duration_microseconds)::bigint
    FROM (
        SELECT
            rolled_up.endpoint,
            rolled_up.requests,
            rolled_up.errors,
            rolled_up.duration_microseconds
        FROM {{ internal_schema }}.api_request_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT
            recent.endpoint,
            recent.requests,
            recent.errors,
            recent.duration_microseconds
        FROM {{ internal_schema }}.log_tail('api_request_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.api_request_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS counted
    GROUP BY counted.endpoint;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.api_metrics(timestamptz) IS
'Requests since p_since, by endpoint: requests, those answered with a status of 500 or above, and '
'the sum of their durations in microseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.api_metrics(timestamptz) TO {{ monitor_role }};
{% endif %}
