-- The words of error_minutes, once: they may be long.
CREATE TABLE {{ internal_schema }}.error_messages (
    message_sha256 bytea NOT NULL,
    error_message text NOT NULL,
    CONSTRAINT error_messages_pkey PRIMARY KEY (message_sha256)
);

COMMENT ON TABLE {{ internal_schema }}.error_messages IS
'Messages of refused calls. Written by roll_up_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.error_messages.message_sha256 IS
'SHA-256 of the message: an index takes no long texts.';
COMMENT ON COLUMN {{ internal_schema }}.error_messages.error_message IS 'The message.';
COMMENT ON CONSTRAINT error_messages_pkey ON {{ internal_schema }}.error_messages IS
'Each message once.';
