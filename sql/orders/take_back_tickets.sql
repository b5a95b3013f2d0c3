-- Called wherever tickets are returned: by a refund, a dispute, the box office, a cancelled show.
-- The caller has locked these orders and their reservations. Order by order, since each statement
-- is then entered by a key, however small the tables were when its plan was made.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.take_back_tickets(
    p_show_id uuid,
    p_order_ids uuid[],
    p_ticket_ids uuid[],
    p_reason text,
    p_refund_status text,
    p_staff text DEFAULT NULL,
    OUT refund_ids uuid[],
    OUT amount_in_cents bigint,
    OUT seats_freed integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_order_id uuid;
    v_seats record;
    v_seat_ids uuid[] := '{}'::uuid[];
    v_tickets record;
    v_paid record;
    v_refund_id uuid;
    v_blocked_ids uuid[] := '{}'::uuid[];
BEGIN
    refund_ids := '{}';
    amount_in_cents := 0;
    FOREACH v_order_id IN ARRAY p_order_ids LOOP
        SELECT
            COALESCE(
                array_agg(ticket.show_seat_id)
                -- A ticket that the house has cancelled by hand has no seat any more.
                FILTER (WHERE ticket.status = 'valid'), '{}'
            ) AS ids
        INTO v_seats
        FROM {{ schema }}.tickets AS ticket
        WHERE
            ticket.order_id = v_order_id
            AND ticket.show_id = p_show_id
            AND (p_ticket_ids IS NULL OR ticket.id = ANY(p_ticket_ids));
        v_seat_ids := v_seat_ids || v_seats.ids;
    END LOOP;
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(v_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    FOREACH v_order_id IN ARRAY p_order_ids LOOP
        WITH returned AS (
            UPDATE {{ schema }}.tickets
            SET status = 'refunded'
            WHERE
                tickets.order_id = v_order_id
                AND tickets.show_id = p_show_id
                AND tickets.status <> 'refunded'
                AND (p_ticket_ids IS NULL OR tickets.id = ANY(p_ticket_ids))
            RETURNING
                tickets.id,
                tickets.show_seat_id,
                tickets.price_in_cents,
                tickets.checked_in_at
        )

        SELECT
            array_agg(returned.id ORDER BY returned.id) AS ids,
            array_agg(returned.show_seat_id ORDER BY returned.show_seat_id)
                FILTER (WHERE returned.show_seat_id = ANY(v_seat_ids)) AS seat_ids,
            array_agg(returned.show_seat_id ORDER BY returned.show_seat_id)
                FILTER (
                    WHERE
                    returned.show_seat_id = ANY(v_seat_ids)
                    AND returned.checked_in_at IS NOT NULL
                ) AS blocked_seat_ids,
            sum(returned.price_in_cents)::bigint AS amount_in_cents
        INTO v_tickets
        FROM returned;

        UPDATE {{ schema }}.ticket_orders
        SET
            refunded_amount_in_cents = ticket_orders.refunded_amount_in_cents
            + COALESCE(v_tickets.amount_in_cents, 0),
            status = CASE
                WHEN EXISTS (
                    SELECT
                    FROM {{ schema }}.tickets AS ticket
                    WHERE
                        ticket.order_id = v_order_id
                        AND ticket.show_id = p_show_id
                        AND ticket.status <> 'refunded'
                ) THEN ticket_orders.status
                ELSE 'refunded'
            END
        WHERE
            ticket_orders.id = v_order_id
            AND ticket_orders.show_id = p_show_id
        RETURNING
            ticket_orders.reservation_id,
            ticket_orders.currency,
            ticket_orders.payment_provider
        INTO v_paid;

        IF v_tickets.amount_in_cents > 0 THEN
            INSERT INTO {{ schema }}.refunds (
                show_id, order_id, ticket_ids, amount_in_cents, currency, reason, status,
                payment_provider, payment_event_id, done_at
            )
            VALUES (
                p_show_id,
                v_order_id,
                v_tickets.ids,
                v_tickets.amount_in_cents,
                v_paid.currency,
                p_reason,
                p_refund_status,
                v_paid.payment_provider,
                (
                    SELECT paid.event_id
                    FROM {{ schema }}.payment_events AS paid
                    WHERE
                        paid.order_id = v_order_id
                        AND paid.show_id = p_show_id
                        AND paid.kind = 'payment'
                        AND paid.success
                    LIMIT 1
                ),
                CASE p_refund_status WHEN 'done' THEN now() END
            )
            RETURNING refunds.id INTO v_refund_id;
            refund_ids := refund_ids || v_refund_id;
            amount_in_cents := take_back_tickets.amount_in_cents + v_tickets.amount_in_cents;
        END IF;

        UPDATE {{ schema }}.reservation_seats
        SET released_at = now()
        WHERE
            reservation_seats.reservation_id = v_paid.reservation_id
            AND reservation_seats.show_id = p_show_id
            AND reservation_seats.show_seat_id = ANY(v_tickets.seat_ids);

        IF v_tickets.seat_ids IS NOT NULL THEN
            INSERT INTO {{ schema }}.seat_reservation_audit_log (
                event_type, reservation_id, show_id, seat_count, seat_ids, metadata
            )
            VALUES (
                'refunded',
                v_paid.reservation_id,
                p_show_id,
                cardinality(v_tickets.seat_ids),
                v_tickets.seat_ids,
                jsonb_strip_nulls(
                    jsonb_build_object(
                        'staff', p_staff, 'blocked_seat_ids', v_tickets.blocked_seat_ids
                    )
                )
            );
        END IF;
        v_blocked_ids := v_blocked_ids || v_tickets.blocked_seat_ids;
    END LOOP;

    -- Somebody may sit on the seat of a ticket that was checked in.
    UPDATE {{ schema }}.show_seats
    SET status = CASE WHEN show_seats.id = ANY(v_blocked_ids) THEN 'blocked' ELSE 'available' END
    WHERE
        show_seats.show_id = p_show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.status = 'sold';
    seats_freed := cardinality(v_seat_ids);
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.take_back_tickets(
    uuid, uuid[], uuid[], text, text, text
) IS
'Makes these tickets of these orders (NULL: all that are not yet) refunded and their seats '
'available, or blocked where the ticket was checked in; an order without any other ticket is '
'refunded. Writes a row of refunds for each order whose tickets were not free, and a line in the '
'log of seats. Returns the refunds, their sum, and the number of seats.';
