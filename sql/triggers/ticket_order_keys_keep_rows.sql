-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER ticket_order_keys_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.ticket_order_keys
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'A key names its order for ever.'
);

ALTER TABLE {{ schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_keep_rows;

COMMENT ON TRIGGER ticket_order_keys_keep_rows ON {{ schema }}.ticket_order_keys IS
'Refuses DELETE and TRUNCATE.';
