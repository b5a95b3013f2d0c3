-- Rollup of seat_reservation_audit_log: what happened to holds, all shows together.
CREATE TABLE {{ internal_schema }}.reservation_minutes (
    minute timestamptz NOT NULL,
    created bigint NOT NULL,
    completed bigint NOT NULL,
    expired bigint NOT NULL,
    released bigint NOT NULL,
    extended bigint NOT NULL,
    failed bigint NOT NULL,
    failed_attempts bigint NOT NULL,
    race_conditions bigint NOT NULL,
    constraint_violations bigint NOT NULL,
    holds_ended bigint NOT NULL,
    hold_microseconds bigint NOT NULL,
    releases_ended bigint NOT NULL,
    release_microseconds bigint NOT NULL,
    CONSTRAINT reservation_minutes_pkey PRIMARY KEY (minute),
    CONSTRAINT reservation_minutes_minute_check CHECK (isfinite(minute))
)
-- The same rows are added to for a minute or two: room on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes IS
'Events of seat_reservation_audit_log a minute. Written by roll_up_metrics(), read through '
'reservation_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.minute IS
'The minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.created IS 'Holds created.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.completed IS 'Holds completed: sold.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.expired IS 'Holds expired.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.released IS
'Releases, partial ones included.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.extended IS 'Extensions.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed IS 'Refused calls.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed_attempts IS
'Those of them that were to reserve seats.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.race_conditions IS
'Refused attempts to reserve that met another customer: seats taken, or busy.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.constraint_violations IS
'Refused calls that a constraint of the database stopped.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.holds_ended IS
'Completed and expired holds whose length is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.hold_microseconds IS
'Their length together, in microseconds: whole numbers add up exactly.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.releases_ended IS
'Released holds whose length is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.release_microseconds IS
'Their length together, in microseconds.';
COMMENT ON CONSTRAINT reservation_minutes_pkey ON {{ internal_schema }}.reservation_minutes IS
'Rows are told apart.';
COMMENT ON CONSTRAINT reservation_minutes_minute_check
ON {{ internal_schema }}.reservation_minutes IS
'Finite.';
