-- Rollup of seat_reservation_audit_log: refused calls by error message. Messages are few: they are
-- the fixed sentences of error_message().
CREATE TABLE {{ internal_schema }}.error_minutes (
    minute timestamptz NOT NULL,
    error_message text NOT NULL,
    occurrences bigint NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT error_minutes_pkey PRIMARY KEY (minute, error_message),
    CONSTRAINT error_minutes_last_seen_at_check CHECK (isfinite(last_seen_at)),
    CONSTRAINT error_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.error_minutes IS
'Rollup of seat_reservation_audit_log: refused calls by minute and message. Written by '
'roll_up_metrics(), read through error_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.error_message IS
'Error message of the calls; (no message) where the log has none.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.occurrences IS 'Number of refused calls.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.last_seen_at IS
'Time of the latest of these calls.';
