-- Rollup of api_request_log: requests, errors and the sum of durations.
CREATE TABLE {{ internal_schema }}.api_request_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    duration_microseconds bigint NOT NULL,
    CONSTRAINT api_request_minutes_pkey PRIMARY KEY (minute, endpoint),
    CONSTRAINT api_request_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_request_minutes IS
'Rollup of api_request_log: requests by minute and endpoint. Written by roll_up_metrics(), read '
'through api_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.endpoint IS
'Route of the requests, or other for those beyond the endpoint_limit() busiest.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.requests IS 'Number of requests.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.errors IS
'Number of requests answered with a status of 500 or above.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.duration_microseconds IS
'Sum of the durations of all requests, in microseconds.';
