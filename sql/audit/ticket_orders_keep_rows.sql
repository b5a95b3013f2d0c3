-- These rows promise money or seats to buyers.
CREATE OR REPLACE TRIGGER ticket_orders_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.ticket_orders
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'An order is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_keep_rows;

COMMENT ON TRIGGER ticket_orders_keep_rows ON {{ schema }}.ticket_orders IS
'Refuses DELETE and TRUNCATE.';
