-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER tickets_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.tickets
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A ticket is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.tickets
ENABLE ALWAYS TRIGGER tickets_keep_rows;

COMMENT ON TRIGGER tickets_keep_rows ON {{ schema }}.tickets IS
'Refuses DELETE and TRUNCATE.';
