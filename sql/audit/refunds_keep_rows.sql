-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER refunds_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.refunds
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A refund is done, never deleted.'
);

ALTER TABLE {{ schema }}.refunds
ENABLE ALWAYS TRIGGER refunds_keep_rows;

COMMENT ON TRIGGER refunds_keep_rows ON {{ schema }}.refunds IS
'Refuses DELETE and TRUNCATE.';
