-- Read by api_endpoint_health, for its percentiles: the minutes in the rollup and the rows of the
-- log that are not rolled up yet. Within one statement both come from its snapshot, so that no
-- event is missed or counted twice.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.api_durations(p_since timestamptz)
RETURNS TABLE (
    endpoint text,
    duration_bucket smallint,
    requests bigint
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
ROWS 1000
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        counted.endpoint,
        counted.duration_bucket,
        sum(counted.requests)::bigint
    FROM (
        SELECT
            rolled_up.endpoint,
            rolled_up.duration_bucket,
            rolled_up.requests
        FROM {{ internal_schema }}.api_duration_minutes AS rolled_up
        WHERE rolled_up.minute >= p_since
        UNION ALL
        SELECT
            recent.endpoint,
            recent.duration_bucket,
            recent.requests
        FROM {{ internal_schema }}.log_tail('api_request_log') AS tail
        CROSS JOIN LATERAL {{ internal_schema }}.api_request_events(
            tail.from_xact_id, tail.below_xact_id, tail.after_id
        ) AS recent
        WHERE recent.minute >= p_since
    ) AS counted
    GROUP BY
        counted.endpoint,
        counted.duration_bucket;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.api_durations(timestamptz) IS
'Requests since p_since, by endpoint and bucket of durations. Bucket b ends at '
'duration_bucket_growth() ^ b milliseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.api_durations(timestamptz) TO {{ monitor_role }};
{% endif %}
