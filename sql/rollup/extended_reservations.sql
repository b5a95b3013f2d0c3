-- What extension_quarters was counted from, for as long as its days are shown.
CREATE TABLE {{ internal_schema }}.extended_reservations (
    reservation_id uuid NOT NULL,
    quarter timestamptz NOT NULL,
    CONSTRAINT extended_reservations_pkey PRIMARY KEY (reservation_id, quarter),
    CONSTRAINT extended_reservations_quarter_check CHECK (isfinite(quarter))
);

-- For purge_history().
CREATE INDEX extended_reservations_quarter_idx
ON {{ internal_schema }}.extended_reservations USING brin (quarter);

COMMENT ON TABLE {{ internal_schema }}.extended_reservations IS
'Which reservations were extended in which quarter of an hour, of the last days. Written by '
'roll_up_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.reservation_id IS 'The reservation.';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.quarter IS 'The quarter of an hour.';
COMMENT ON CONSTRAINT extended_reservations_pkey ON {{ internal_schema }}.extended_reservations IS
'Each is counted once a quarter.';
COMMENT ON INDEX {{ internal_schema }}.extended_reservations_quarter_idx IS
'Serves purge_history().';
COMMENT ON CONSTRAINT extended_reservations_quarter_check
ON {{ internal_schema }}.extended_reservations IS
'Finite.';
