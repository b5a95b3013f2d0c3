-- Orders: what a buyer has to pay for the seats of a reservation.
CREATE TABLE {{ schema }}.ticket_orders (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    seat_ids uuid[] NOT NULL,
    status text NOT NULL DEFAULT 'pending',
    total_amount_in_cents bigint NOT NULL,
    currency text NOT NULL,
    idempotency_key text,
    payment_provider text,
    payment_intent_id text,
    error_message text,
    cancel_reason text,
    refunded_amount_in_cents bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    paid_at timestamptz,
    CONSTRAINT ticket_orders_pkey PRIMARY KEY (id, show_id),
    CONSTRAINT ticket_orders_idempotency_key_show_id_key UNIQUE (idempotency_key, show_id),
    CONSTRAINT ticket_orders_reservation_id_show_id_fkey
    FOREIGN KEY (reservation_id, show_id) REFERENCES {{ schema }}.seat_reservations (id, show_id),
    CONSTRAINT ticket_orders_seat_ids_check CHECK (
        cardinality(seat_ids) > 0 AND array_position(seat_ids, NULL) IS NULL
    ),
    CONSTRAINT ticket_orders_status_check CHECK (
        status IN ('pending', 'paid', 'failed', 'cancelled', 'refund_due', 'refunded')
    ),
    CONSTRAINT ticket_orders_total_amount_in_cents_check CHECK (
        total_amount_in_cents BETWEEN 0 AND 100000000000000
    ),
    CONSTRAINT ticket_orders_cancel_reason_check CHECK (
        cancel_reason IN ('released', 'changed', 'superseded', 'overdue', 'show_cancelled')
    ),
    CONSTRAINT ticket_orders_refunded_amount_in_cents_check CHECK (
        refunded_amount_in_cents BETWEEN 0 AND GREATEST(total_amount_in_cents, 0)
    ),
    CONSTRAINT ticket_orders_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT ticket_orders_idempotency_key_check CHECK (
        length(idempotency_key) <= 200 AND idempotency_key ~ '[^[:space:]]'
    ),
    CONSTRAINT ticket_orders_payment_provider_check CHECK (length(payment_provider) <= 200),
    CONSTRAINT ticket_orders_payment_intent_id_check CHECK (length(payment_intent_id) <= 200),
    CONSTRAINT ticket_orders_created_at_check CHECK (isfinite(created_at)),
    CONSTRAINT ticket_orders_paid_at_check CHECK (
        (status IN ('paid', 'refund_due', 'refunded')) = (paid_at IS NOT NULL) AND isfinite(paid_at)
    )
);

CREATE UNIQUE INDEX ticket_orders_one_open_per_reservation
ON {{ schema }}.ticket_orders (reservation_id, show_id) WHERE status IN ('pending', 'paid');

CREATE INDEX ticket_orders_reservation_id_show_id_idx
ON {{ schema }}.ticket_orders (reservation_id, show_id);

CREATE INDEX ticket_orders_payment_intent_id_idx
ON {{ schema }}.ticket_orders (payment_intent_id) WHERE payment_intent_id IS NOT NULL;

CREATE INDEX ticket_orders_created_at_idx ON {{ schema }}.ticket_orders (created_at);

-- Contains only orders that were refunded in part.
CREATE INDEX ticket_orders_created_at_refunded_amount_in_cents_idx
ON {{ schema }}.ticket_orders (created_at, refunded_amount_in_cents)
WHERE status = 'paid' AND refunded_amount_in_cents > 0;

CREATE INDEX ticket_orders_created_at_id_idx
ON {{ schema }}.ticket_orders (created_at, id) WHERE status = 'pending';

CREATE INDEX ticket_orders_show_id_idx
ON {{ schema }}.ticket_orders (show_id) WHERE status = 'failed';

CREATE INDEX ticket_orders_created_at_show_id_idx
ON {{ schema }}.ticket_orders (created_at, show_id) WHERE error_message IS NOT NULL;

COMMENT ON TABLE {{ schema }}.ticket_orders IS 'Orders and the state of their payment.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.id IS 'Key, together with show_id.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.reservation_id IS
'The reservation that the order pays for.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.seat_ids IS
'The seats when it was ordered, sorted. A late payment takes exactly these again, or none.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.status IS
'pending: waits for payment; paid: tickets issued; failed: the payment failed, another may '
'succeed; cancelled: see cancel_reason; refund_due: paid, but the seats are gone, the money is '
'owed; refunded: all tickets were taken back, see refunds for the money.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.total_amount_in_cents IS
'The amount to pay, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.idempotency_key IS
'The caller''s name for the attempt that made the order. All keys that name it are in '
'ticket_order_keys.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_provider IS
'The payment provider, such as stripe: the last one that was named, and after the payment the one '
'that it came from.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.payment_intent_id IS
'The provider''s id of the payment: the last one that was named, and after the payment its own. '
'Earlier ones are in payment_intents.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.error_message IS 'Why the last payment failed.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.cancel_reason IS
'Why it was cancelled: released (seats were given back), changed (seats were added), superseded '
'(another order of the hold was paid), overdue (the hold expired without a payment), '
'show_cancelled. Only an overdue order can still be paid, late.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.refunded_amount_in_cents IS
'How much of the payment no longer pays for a ticket: the sum of the refunds of its own payment, '
'due or done, in the minor unit of the currency.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.created_at IS 'When it was ordered.';
COMMENT ON COLUMN {{ schema }}.ticket_orders.paid_at IS
'When the payment arrived; also set if it has to be given back.';
COMMENT ON CONSTRAINT ticket_orders_pkey ON {{ schema }}.ticket_orders IS
'Starts with id, which serves look-ups by id alone; show_id excludes references across shows.';
COMMENT ON CONSTRAINT ticket_orders_idempotency_key_show_id_key ON {{ schema }}.ticket_orders IS
'A key is used once within a show.';
COMMENT ON CONSTRAINT ticket_orders_reservation_id_show_id_fkey ON {{ schema }}.ticket_orders IS
'The reservation exists, and is of the same show.';
COMMENT ON CONSTRAINT ticket_orders_seat_ids_check
ON {{ schema }}.ticket_orders IS 'At least one seat, and no NULL.';
COMMENT ON CONSTRAINT ticket_orders_status_check
ON {{ schema }}.ticket_orders IS 'Only known statuses.';
COMMENT ON CONSTRAINT ticket_orders_total_amount_in_cents_check ON {{ schema }}.ticket_orders IS
'At most a thousand seats at the highest price.';
COMMENT ON CONSTRAINT ticket_orders_cancel_reason_check
ON {{ schema }}.ticket_orders IS 'Only known reasons.';
COMMENT ON CONSTRAINT ticket_orders_refunded_amount_in_cents_check ON {{ schema }}.ticket_orders IS
'Not more than was paid.';
COMMENT ON CONSTRAINT ticket_orders_currency_check
ON {{ schema }}.ticket_orders IS 'A currency code: three capital letters.';
COMMENT ON CONSTRAINT ticket_orders_idempotency_key_check ON {{ schema }}.ticket_orders IS
'Not blank, and short enough to be indexed.';
COMMENT ON CONSTRAINT ticket_orders_payment_provider_check
ON {{ schema }}.ticket_orders IS 'At most 200 characters.';
COMMENT ON CONSTRAINT ticket_orders_payment_intent_id_check
ON {{ schema }}.ticket_orders IS 'At most 200 characters.';
COMMENT ON CONSTRAINT ticket_orders_paid_at_check ON {{ schema }}.ticket_orders IS
'Set exactly if a payment has arrived.';
COMMENT ON INDEX {{ schema }}.ticket_orders_one_open_per_reservation IS
'A reservation has at most one order that is pending or paid.';
COMMENT ON INDEX {{ schema }}.ticket_orders_reservation_id_show_id_idx IS
'Serves all orders of a reservation, when seats are given back or one of them is paid.';
COMMENT ON INDEX {{ schema }}.ticket_orders_payment_intent_id_idx IS
'Serves the look-up by the provider''s id of the payment.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_idx IS
'Serves payment metrics of the last hours.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_refunded_amount_in_cents_idx IS
'Serves the revenue of a day, minus what was given back.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_id_idx IS
'Serves the cleanup: pending orders.';
COMMENT ON INDEX {{ schema }}.ticket_orders_show_id_idx IS
'Serves the cancellation of a show: failed orders, some of which have no hold any more.';
COMMENT ON INDEX {{ schema }}.ticket_orders_created_at_show_id_idx IS
'Serves the purge of personal data: orders with a message of a provider.';

{% if manage_roles %}
GRANT SELECT (
    id, show_id, reservation_id, seat_ids, status, total_amount_in_cents, currency,
    payment_provider, cancel_reason, refunded_amount_in_cents, created_at, paid_at
) ON TABLE {{ schema }}.ticket_orders TO {{ monitor_role }};
{% endif %}
