-- TRUNCATE would not be logged.
CREATE OR REPLACE TRIGGER show_seats_keep_rows
BEFORE TRUNCATE ON {{ schema }}.show_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Delete what nothing refers to with DELETE, which is logged.'
);

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_keep_rows;

COMMENT ON TRIGGER show_seats_keep_rows ON {{ schema }}.show_seats IS
'Refuses TRUNCATE.';
