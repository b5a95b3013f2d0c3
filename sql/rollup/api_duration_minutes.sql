-- Rollup of api_request_log: the distribution of durations, in logarithmic buckets. Counts of
-- buckets can be added up, and percentiles computed from them are within two percent.
CREATE TABLE {{ internal_schema }}.api_duration_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    duration_bucket smallint NOT NULL,
    requests bigint NOT NULL,
    CONSTRAINT api_duration_minutes_pkey PRIMARY KEY (minute, endpoint, duration_bucket),
    CONSTRAINT api_duration_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_duration_minutes IS
'Rollup of api_request_log: requests by minute, endpoint and duration. Written by '
'roll_up_metrics(), read through api_durations().';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.endpoint IS
'Route of the requests, or other for those beyond the endpoint_limit() busiest.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.duration_bucket IS
'Number b of the bucket: durations above g ^ (b - 1) and up to g ^ b milliseconds, where g is '
'duration_bucket_growth().';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.requests IS 'Number of requests.';
