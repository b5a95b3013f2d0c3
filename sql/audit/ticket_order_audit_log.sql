-- Events of orders, in order. Written by a trigger on ticket_orders, and by the functions that sell
-- when they refuse.
CREATE TABLE {{ schema }}.ticket_order_audit_log (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    order_id uuid,
    reservation_id uuid,
    show_id uuid NOT NULL,
    session_id text,
    old_status text,
    new_status text,
    amount_in_cents bigint,
    currency text,
    seat_count integer,
    payment_provider text,
    order_created_at timestamptz,
    error_code text,
    error_message text,
    metadata jsonb NOT NULL DEFAULT '{}',
    -- For the rollup: rows whose transaction is below the xmin of a snapshot are final. See the
    -- decision on exact rollups.
    xact_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ticket_order_audit_log_pkey PRIMARY KEY (id, show_id, created_at),
    CONSTRAINT ticket_order_audit_log_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_order_audit_log_order_created_at_check CHECK (isfinite(order_created_at))
)
PARTITION BY RANGE (created_at);

-- Rows are appended in the order of time: BRIN finds a window by a summary of each megabyte, and
-- costs writers almost nothing.
CREATE INDEX ticket_order_audit_log_created_at_idx
ON {{ schema }}.ticket_order_audit_log USING brin (created_at) WITH (autosummarize = on);

CREATE INDEX ticket_order_audit_log_xact_id_idx ON {{ schema }}.ticket_order_audit_log (xact_id);

-- Partitions inherit row triggers. TRUNCATE of one partition needs a trigger there, which
-- maintain_partitions() adds. ENABLE ALWAYS, so that session_replication_role = replica does not
-- disable them.
CREATE TRIGGER ticket_order_audit_log_append_only
BEFORE UPDATE OR DELETE ON {{ schema }}.ticket_order_audit_log
FOR EACH ROW EXECUTE FUNCTION {{ internal_schema }}.refuse_change_but_erasure(
    'The log is append-only: add a row that corrects it.', 'session_id,error_message'
);

CREATE TRIGGER ticket_order_audit_log_no_truncate
BEFORE TRUNCATE ON {{ schema }}.ticket_order_audit_log
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.refuse_change(
    'purge_history() drops what is past retention.'
);

ALTER TABLE {{ schema }}.ticket_order_audit_log
ENABLE ALWAYS TRIGGER ticket_order_audit_log_append_only;
ALTER TABLE {{ schema }}.ticket_order_audit_log
ENABLE ALWAYS TRIGGER ticket_order_audit_log_no_truncate;

COMMENT ON TABLE {{ schema }}.ticket_order_audit_log IS
'Append-only log of orders, with a partition for each month: a row for each change of status, each '
'refusal, and each report that money went back.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.id IS
'Number of the row; gaps after a rollback are normal.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.order_id IS
'The order; NULL if none was made.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.reservation_id IS
'The reservation that it pays for.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.show_id IS
'The show, or the nil UUID if the caller gave none. No foreign key, since nothing may delete rows '
'from here.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.session_id IS
'The session of the caller, if it gave one, cut to 200 characters.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.old_status IS
'Status before; NULL for a new order.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.new_status IS
'Status after; NULL for a refusal, and for what a call did besides, such as record_refund().';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.amount_in_cents IS
'The amount of the order, or the amount that was refused, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.seat_count IS
'How many seats the order has; NULL for a refusal.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.order_created_at IS
'When the order was created; NULL for a refusal.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.payment_provider IS 'The payment provider.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.error_code IS
'Of a refusal: the error code that was returned.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.error_message IS
'Why a call was refused or a payment failed.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.metadata IS
'Details: function (which call), staff (who did it), event_id, refund_id, ticket_ids, sqlstate, '
'detail; of cancel_show_portion how many holds_ended, orders_cancelled, orders_refunded.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.xact_id IS
'The transaction that wrote the row, for the exact rollup.';
COMMENT ON COLUMN {{ schema }}.ticket_order_audit_log.created_at IS
'Start of the transaction that wrote the row; the partition key.';
COMMENT ON INDEX {{ schema }}.ticket_order_audit_log_created_at_idx IS 'Serves windows of time.';
COMMENT ON INDEX {{ schema }}.ticket_order_audit_log_xact_id_idx IS
'Serves the rollup, and views that read what is not rolled up yet.';
COMMENT ON TRIGGER ticket_order_audit_log_append_only ON {{ schema }}.ticket_order_audit_log IS
'Refuses DELETE, and UPDATE except for the erasure of personal data.';
COMMENT ON TRIGGER ticket_order_audit_log_no_truncate ON {{ schema }}.ticket_order_audit_log IS
'Refuses TRUNCATE.';

{% if manage_roles %}
GRANT SELECT (
    id, order_id, reservation_id, show_id, old_status, new_status, amount_in_cents, currency,
    seat_count, payment_provider, order_created_at, error_code, xact_id, created_at
) ON TABLE {{ schema }}.ticket_order_audit_log TO {{ monitor_role }};
{% endif %}
