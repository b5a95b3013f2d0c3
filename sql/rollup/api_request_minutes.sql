-- Rollup of api_request_log: what answered, how often and how long it took in all.
CREATE TABLE {{ internal_schema }}.api_request_minutes (
    minute timestamptz NOT NULL,
    endpoint text NOT NULL,
    requests bigint NOT NULL,
    errors bigint NOT NULL,
    duration_microseconds bigint NOT NULL,
    CONSTRAINT api_request_minutes_pkey PRIMARY KEY (minute, endpoint),
    CONSTRAINT api_request_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.api_request_minutes IS
'Requests a minute and endpoint. Written by roll_up_metrics(), read through api_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.endpoint IS 'Route of the request.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.requests IS 'Requests.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.errors IS
'Those answered with a status of 500 or above.';
COMMENT ON COLUMN {{ internal_schema }}.api_request_minutes.duration_microseconds IS
'How long they took together, in microseconds.';
COMMENT ON CONSTRAINT api_request_minutes_pkey ON {{ internal_schema }}.api_request_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT api_request_minutes_minute_check
ON {{ internal_schema }}.api_request_minutes IS
'Finite.';
