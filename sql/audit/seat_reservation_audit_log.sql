-- Events of holds, in order. Written by a trigger on seat_reservations, and by the functions that
-- sell when they refuse.
CREATE TABLE {{ schema }}.seat_reservation_audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    event_type {{ internal_schema }}.event_type NOT NULL,
    reservation_id uuid,
    show_id uuid NOT NULL,
    session_id text,
    seat_count integer NOT NULL DEFAULT 0,
    seat_ids uuid[] NOT NULL DEFAULT '{}',
    error_code text,
    error_message text,
    user_agent text,
    ip_address inet,
    metadata jsonb NOT NULL DEFAULT '{}',
    hold_seconds double precision,
    -- For the rollup: rows whose transaction is below the xmin of a snapshot are final. See the
    -- decision on exact rollups.
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT seat_reservation_audit_log_pkey PRIMARY KEY (id, show_id, created_at),
    CONSTRAINT seat_reservation_audit_log_error_message_check CHECK (length(error_message) <= 500),
    CONSTRAINT seat_reservation_audit_log_created_at_check CHECK (isfinite(created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: BRIN finds a window by a summary of each megabyte, and
-- costs writers almost nothing.
CREATE INDEX seat_reservation_audit_log_created_at_idx
ON {{ schema }}.seat_reservation_audit_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX seat_reservation_audit_log_xact_id_idx
ON {{ schema }}.seat_reservation_audit_log (xact_id);

-- Partitions inherit row triggers. TRUNCATE of one partition needs a trigger there, which
-- maintain_partitions() adds. ENABLE ALWAYS, so that session_replication_role = replica does not
-- disable them.
CREATE TRIGGER seat_reservation_audit_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.seat_reservation_audit_log
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change_but_erasure(
    'The log is append-only: add a row that corrects it.', 'session_id,user_agent,ip_address'
);

CREATE TRIGGER seat_reservation_audit_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.seat_reservation_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'purge_history() drops what is past retention.'
);

ALTER TABLE {{ schema }}.seat_reservation_audit_log
ENABLE ALWAYS TRIGGER seat_reservation_audit_log_append_only;
ALTER TABLE {{ schema }}.seat_reservation_audit_log
ENABLE ALWAYS TRIGGER seat_reservation_audit_log_no_truncate;

COMMENT ON TABLE {{ schema }}.seat_reservation_audit_log IS
'Append-only log of holds, with a partition for each month. The source of every reservation '
'metric.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.event_type IS
'Of a hold: created, extended, released, expired, completed (paid), added (seats were added), '
'priced (prices or types of tickets were set), transferred (to another session). Of seats: blocked '
'and unblocked by the staff, issued (sold at the counter), moved (tickets got these seats instead '
'of metadata.from_seat_ids), refunded (tickets were taken back), checked_in. failed: a call was '
'refused. erased: personal data of a customer, of whom the line reveals nothing.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.reservation_id IS
'The reservation; NULL if none was made.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.show_id IS
'The show, or the nil UUID if the caller gave none. No foreign key, since nothing may delete rows '
'from here.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.session_id IS
'The session of the caller, cut to 200 characters.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.seat_count IS
'How many seats the event is about.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.seat_ids IS
'Which seats; of a refusal the first 100.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.error_code IS
'Of a failed call: the error code that was returned.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.error_message IS
'Of a failed call: the message that was returned.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.user_agent IS
'Browser of the buyer. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.ip_address IS
'IP address of the buyer. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.metadata IS
'Details: function (which call was refused), staff (who did it), blocked_seat_ids (those of the '
'seats that were blocked before, or of refunded tickets are blocked since), late, partial, '
'sqlstate, detail and more. Personal.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.hold_seconds IS
'How long the hold lasted, in seconds, on the event that ended it.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.xact_id IS
'The transaction that wrote the row, for the exact rollup.';
COMMENT ON COLUMN {{ schema }}.seat_reservation_audit_log.created_at IS
'Start of the transaction that wrote the row; the partition key.';
COMMENT ON CONSTRAINT seat_reservation_audit_log_error_message_check
ON {{ schema }}.seat_reservation_audit_log IS
'A fixed sentence of error_message(). A longer text might not fit into the index of error_minutes, '
'and the rollup would stop.';
COMMENT ON INDEX {{ schema }}.seat_reservation_audit_log_created_at_idx IS
'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.seat_reservation_audit_log_xact_id_idx IS
'Serves the rollup, and views that read what is not rolled up yet.';
COMMENT ON TRIGGER seat_reservation_audit_log_append_only
ON {{ schema }}.seat_reservation_audit_log IS
'Refuses DELETE, and UPDATE except for the erasure of personal data.';
COMMENT ON TRIGGER seat_reservation_audit_log_no_truncate
ON {{ schema }}.seat_reservation_audit_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    id, event_type, reservation_id, show_id, seat_count, seat_ids, error_code, error_message,
    hold_seconds, xact_id, created_at
) ON TABLE {{ schema }}.seat_reservation_audit_log TO {{ monitor_role }};
{% endif %}
