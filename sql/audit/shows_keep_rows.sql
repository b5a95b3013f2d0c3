-- TRUNCATE would not be logged.
CREATE OR REPLACE TRIGGER shows_keep_rows
BEFORE TRUNCATE ON {{ schema }}.shows
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Delete what nothing refers to with DELETE, which is logged.'
);

ALTER TABLE {{ schema }}.shows
ENABLE ALWAYS TRIGGER shows_keep_rows;

COMMENT ON TRIGGER shows_keep_rows ON {{ schema }}.shows IS
'Refuses TRUNCATE.';
