-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER reservation_seats_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.reservation_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A claim is released, never deleted.'
);

ALTER TABLE {{ schema }}.reservation_seats
ENABLE ALWAYS TRIGGER reservation_seats_keep_rows;

COMMENT ON TRIGGER reservation_seats_keep_rows ON {{ schema }}.reservation_seats IS
'Refuses DELETE and TRUNCATE.';
