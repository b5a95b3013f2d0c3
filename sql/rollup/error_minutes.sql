-- Rollup of the refused calls in seat_reservation_audit_log by their words.
CREATE TABLE {{ internal_schema }}.error_minutes (
    minute timestamptz NOT NULL,
    message_sha256 bytea NOT NULL,
    occurrences bigint NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT error_minutes_pkey PRIMARY KEY (minute, message_sha256),
    CONSTRAINT error_minutes_last_seen_at_check CHECK (isfinite(last_seen_at)),
    CONSTRAINT error_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

-- For purge_history(): which messages are used no more.
CREATE INDEX error_minutes_message_sha256_idx ON {{ internal_schema }}.error_minutes (
    message_sha256
);

COMMENT ON TABLE {{ internal_schema }}.error_minutes IS
'Refused calls a minute and message. Written by roll_up_metrics(), read through error_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.message_sha256 IS
'Which message: see error_messages.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.occurrences IS 'How often.';
COMMENT ON COLUMN {{ internal_schema }}.error_minutes.last_seen_at IS 'The latest.';
COMMENT ON CONSTRAINT error_minutes_pkey ON {{ internal_schema }}.error_minutes IS
'Rows are told apart.';
COMMENT ON INDEX {{ internal_schema }}.error_minutes_message_sha256_idx IS
'Serves purge_history().';
COMMENT ON CONSTRAINT error_minutes_minute_check ON {{ internal_schema }}.error_minutes IS
'Finite.';
COMMENT ON CONSTRAINT error_minutes_last_seen_at_check ON {{ internal_schema }}.error_minutes IS
'Finite.';
