-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER payment_intents_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.payment_intents
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'Money may still come from it.'
);

ALTER TABLE {{ internal_schema }}.payment_intents
ENABLE ALWAYS TRIGGER payment_intents_keep_rows;

COMMENT ON TRIGGER payment_intents_keep_rows ON {{ internal_schema }}.payment_intents IS
'Refuses DELETE and TRUNCATE.';
