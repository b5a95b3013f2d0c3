-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER seat_reservations_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.seat_reservations
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A hold is released, never deleted; its personal columns may be emptied.'
);

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_keep_rows;

COMMENT ON TRIGGER seat_reservations_keep_rows ON {{ schema }}.seat_reservations IS
'Refuses DELETE and TRUNCATE.';
