-- Called by the shop for each request. Values that the log would refuse are adjusted: monitoring
-- must not break what it watches.
CREATE OR REPLACE FUNCTION {{ schema }}.log_api_request(
    p_endpoint text,
    p_method text,
    p_status_code integer,
    p_duration_ms double precision
)
RETURNS void
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
INSERT INTO {{ schema }}.api_request_log (endpoint, method, status_code, duration_ms)
VALUES (
    COALESCE(NULLIF(left(p_endpoint, 200), ''), 'unknown'),
    COALESCE(substring(upper(p_method) FROM '^[A-Z]{1,20}$'), 'UNKNOWN'),
    LEAST(GREATEST(COALESCE(p_status_code, 599), 100), 599),
    -- NULL counts as 0, and NaN sorts above every number, infinity included.
    LEAST(GREATEST(p_duration_ms, 0), 86400000)
);
$body$;

COMMENT ON FUNCTION {{ schema }}.log_api_request(text, text, integer, double precision) IS
'Logs a request: route with placeholders in place of ids, HTTP method, HTTP status, duration in '
'milliseconds.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.log_api_request(text, text, integer, double precision)
TO {{ app_role }};
{% endif %}
