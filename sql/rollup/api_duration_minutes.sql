-- Rollup of api_request_log: how the durations are spread. They are told to within two per cent by
-- logarithmic buckets: percentiles can be added up from those.
CREATE TABLE {{ internal_schema }}.api_duration_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    duration_bucket smallint NOT NULL,
    requests bigint NOT NULL,
    CONSTRAINT api_duration_minutes_pkey PRIMARY KEY (minute, endpoint, duration_bucket),
    CONSTRAINT api_duration_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_duration_minutes IS
'Requests a minute, endpoint and duration. Written by roll_up_metrics(), read through '
'api_durations().';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.endpoint IS 'Route of the request.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.duration_bucket IS
'Durations of up to duration_bucket_growth() ^ bucket milliseconds, and longer than those of the '
'bucket before.';
COMMENT ON COLUMN {{ internal_schema }}.api_duration_minutes.requests IS 'Requests.';
COMMENT ON CONSTRAINT api_duration_minutes_pkey ON {{ internal_schema }}.api_duration_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT api_duration_minutes_minute_check
ON {{ internal_schema }}.api_duration_minutes IS
'Finite.';
