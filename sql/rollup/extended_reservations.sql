-- The reservations behind extension_quarters, kept while their days are shown: to count an
-- extension, the other extensions of its reservation are needed.
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
'Reservations extended in each quarter of an hour of the last days. Written by roll_up_metrics(), '
'read through extension_metrics().';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.reservation_id IS 'The reservation.';
COMMENT ON COLUMN {{ internal_schema }}.extended_reservations.quarter IS
'Start of the quarter of an hour in which it was extended.';
COMMENT ON INDEX {{ internal_schema }}.extended_reservations_quarter_idx IS
'Used by purge_history().';
