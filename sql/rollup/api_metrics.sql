-- What the views of endpoints read: minutes that are rolled up, and the rest of the log, in one
-- snapshot.
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
-- The planner knows nothing of a range between two parameters, and would read the whole log.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- Its estimates are guesses, too: to compile takes longer than to run.
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
'Requests from p_since on, a row for each endpoint.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ internal_schema }}.api_metrics(timestamptz) TO {{ monitor_role }};
{% endif %}
