-- Rollup of extensions. The different reservations extended in a day cannot be added up from those
-- of shorter periods, since some are extended twice. They can where it is known when each was
-- extended before: those already extended on the same day are left out. By quarter of an hour,
-- because in every time zone days begin at one.
CREATE TABLE {{ internal_schema }}.extension_quarters (
    quarter timestamptz NOT NULL,
    previous_quarter timestamptz NOT NULL,
    reservations bigint NOT NULL,
    CONSTRAINT extension_quarters_pkey PRIMARY KEY (quarter, previous_quarter),
    CONSTRAINT extension_quarters_previous_quarter_check CHECK (isfinite(previous_quarter)),
    CONSTRAINT extension_quarters_quarter_check CHECK (isfinite(quarter))
);

COMMENT ON TABLE {{ internal_schema }}.extension_quarters IS
'Rollup of seat_reservation_audit_log: reservations extended, by quarter of an hour and by the '
'quarter of their extension before. Written by roll_up_metrics(), read through '
'extension_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.quarter IS
'Start of the quarter of an hour in which they were extended.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.previous_quarter IS
'Start of the last quarter before it in which the same reservations were extended; 1970 where '
'there was none.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.reservations IS
'Number of reservations.';
