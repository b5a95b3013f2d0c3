-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER ticket_order_keys_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ internal_schema }}.ticket_order_keys
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'A key names its order for ever.'
);

ALTER TABLE {{ internal_schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_keep_rows;

COMMENT ON TRIGGER ticket_order_keys_keep_rows ON {{ internal_schema }}.ticket_order_keys IS
'Refuses DELETE and TRUNCATE.';
