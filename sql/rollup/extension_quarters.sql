-- How many reservations were extended on a day cannot be added up from hours: some were extended
-- twice. It can, where it is known when each was extended before. Quarters of an hour, because
-- every time zone begins its days at one.
CREATE TABLE {{ internal_schema }}.extension_quarters (
    quarter timestamptz NOT NULL,
    previous_quarter timestamptz NOT NULL,
    reservations bigint NOT NULL,
    CONSTRAINT extension_quarters_pkey PRIMARY KEY (quarter, previous_quarter),
    CONSTRAINT extension_quarters_previous_quarter_check CHECK (isfinite(previous_quarter)),
    CONSTRAINT extension_quarters_quarter_check CHECK (isfinite(quarter))
);

COMMENT ON TABLE {{ internal_schema }}.extension_quarters IS
'Reservations extended in a quarter of an hour, by when they were extended before. Written by '
'roll_up_metrics(), read through extension_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.quarter IS 'The quarter of an hour.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.previous_quarter IS
'The last quarter before this one in which the same reservations were extended; 1970 where there '
'was none.';
COMMENT ON COLUMN {{ internal_schema }}.extension_quarters.reservations IS 'How many reservations.';
COMMENT ON CONSTRAINT extension_quarters_pkey ON {{ internal_schema }}.extension_quarters IS
'Rows are told apart.';
COMMENT ON CONSTRAINT extension_quarters_quarter_check
ON {{ internal_schema }}.extension_quarters IS
'Finite.';
COMMENT ON CONSTRAINT extension_quarters_previous_quarter_check
ON {{ internal_schema }}.extension_quarters IS
'Finite.';
