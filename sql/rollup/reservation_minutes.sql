-- Rollup of seat_reservation_audit_log: events of reservations, for each show and for all shows
-- together. Different queries read the two, and most rows are those of shows. So each has a
-- partition: a dashboard of all shows reads few pages.
CREATE TABLE {{ internal_schema }}.reservation_minutes (
    show_id uuid,
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
    CONSTRAINT reservation_minutes_show_id_minute_key UNIQUE NULLS NOT DISTINCT (show_id, minute),
    CONSTRAINT reservation_minutes_minute_check CHECK (isfinite(minute))
)
PARTITION BY LIST (show_id);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes IS
'Rollup of seat_reservation_audit_log: events of reservations by show and minute. Written by '
'roll_up_metrics(), read through reservation_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.show_id IS
'The show; the nil UUID for calls that named none; NULL for the sum over all shows.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.minute IS
'Start of the minute, by created_at of the events.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.created IS 'Reservations created.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.completed IS
'Reservations completed, that is, sold.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.expired IS 'Reservations expired.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.released IS
'Releases, including partial ones.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.extended IS
'Extensions of reservations.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed IS 'Refused calls.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.failed_attempts IS
'Refused calls that tried to reserve seats.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.race_conditions IS
'Refused attempts to reserve because of another customer: the seats were taken, or locked.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.constraint_violations IS
'Refused calls that violated a constraint of the database.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.holds_ended IS
'Completed and expired reservations whose duration is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.hold_microseconds IS
'Sum of the durations of these, in microseconds: integers add up exactly.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.releases_ended IS
'Released reservations whose duration is known.';
COMMENT ON COLUMN {{ internal_schema }}.reservation_minutes.release_microseconds IS
'Sum of the durations of these, in microseconds.';
COMMENT ON CONSTRAINT reservation_minutes_show_id_minute_key
ON {{ internal_schema }}.reservation_minutes IS
'One row for each show and minute, and one for all shows together.';
