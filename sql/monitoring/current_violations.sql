-- The invariants, each as a count of what violates it. Used by check_invariants(), verify, the demo
-- and the tests. Every table is read once and hashed, in the order written here: with statistics
-- gathered on a quiet night, the planner would compare every hold with every seat.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.current_violations()
RETURNS TABLE (invariant text, violations bigint, description text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_nestloop = off
SET enable_mergejoin = off
SET join_collapse_limit = 1
SET jit = off
ROWS 14
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        'seats_claimed_once'::text AS invariant,
        count(*) AS violations,
        'Seats with more than one live claim.'::text AS description
    FROM (
        SELECT
        FROM {{ schema }}.reservation_seats AS claim
        WHERE claim.released_at IS NULL
        GROUP BY
            claim.show_id,
            claim.show_seat_id
        HAVING count(*) > 1
    ) AS seats
    UNION ALL
    SELECT
        'reserved_seats_have_their_hold',
        count(*),
        'Reserved seats whose reserved_by is not an active reservation with a live claim on them.'
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.status = 'reserved'
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.seat_reservations AS hold
            INNER JOIN {{ schema }}.reservation_seats AS claim
                ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
            WHERE
                hold.id = seat.reserved_by
                AND hold.show_id = seat.show_id
                AND hold.is_active
                AND claim.show_seat_id = seat.id
                AND claim.released_at IS NULL
        )
    UNION ALL
    SELECT
        'holds_have_their_seats',
        count(*),
        'Live claims of active reservations whose seat is not reserved by them until expires_at.'
    FROM {{ schema }}.seat_reservations AS hold
    INNER JOIN {{ schema }}.reservation_seats AS claim
        ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
    INNER JOIN {{ schema }}.show_seats AS seat
        ON seat.id = claim.show_seat_id AND seat.show_id = claim.show_id
    WHERE
        hold.is_active
        AND claim.released_at IS NULL
        AND (seat.status, seat.reserved_by, seat.reserved_until)
        IS DISTINCT FROM ('reserved', hold.id, hold.expires_at)
    UNION ALL
    SELECT
        'holds_are_not_empty',
        count(*),
        'Active reservations without a live claim.'
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.is_active
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.reservation_id = hold.id
                AND claim.show_id = hold.show_id
                AND claim.released_at IS NULL
        )
    UNION ALL
    SELECT
        'ended_holds_claim_nothing',
        count(*),
        'Live claims of released or expired reservations.'
    FROM {{ schema }}.seat_reservations AS hold
    INNER JOIN {{ schema }}.reservation_seats AS claim
        ON claim.reservation_id = hold.id AND claim.show_id = hold.show_id
    WHERE
        hold.status IN ('released', 'expired')
        AND claim.released_at IS NULL
    UNION ALL
    SELECT
        'free_seats_are_not_claimed',
        count(*),
        'Available or blocked seats with a live claim.'
    FROM {{ schema }}.show_seats AS seat
    INNER JOIN {{ schema }}.reservation_seats AS claim
        ON claim.show_seat_id = seat.id AND claim.show_id = seat.show_id
    WHERE
        seat.status IN ('available', 'blocked')
        AND claim.released_at IS NULL
    UNION ALL
    SELECT
        'sold_seats_have_a_ticket',
        count(*),
        'Sold seats without a valid ticket, or without a live claim of a completed reservation.'
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.status = 'sold'
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.tickets AS ticket
            INNER JOIN {{ schema }}.ticket_orders AS paid
                ON paid.id = ticket.order_id AND paid.show_id = ticket.show_id
            INNER JOIN {{ schema }}.reservation_seats AS claim
                ON
                    claim.reservation_id = paid.reservation_id
                    AND claim.show_id = paid.show_id
                    AND claim.show_seat_id = ticket.show_seat_id
            INNER JOIN {{ schema }}.seat_reservations AS hold
                ON hold.id = claim.reservation_id AND hold.show_id = claim.show_id
            WHERE
                ticket.show_seat_id = seat.id
                AND ticket.show_id = seat.show_id
                AND ticket.status = 'valid'
                AND claim.released_at IS NULL
                AND hold.status = 'completed'
        )
    UNION ALL
    SELECT
        'tickets_have_their_seat',
        count(*),
        'Valid tickets whose seat is not sold, or whose order is not paid.'
    FROM {{ schema }}.tickets AS ticket
    INNER JOIN {{ schema }}.show_seats AS seat
        ON seat.id = ticket.show_seat_id AND seat.show_id = ticket.show_id
    INNER JOIN {{ schema }}.ticket_orders AS paid
        ON paid.id = ticket.order_id AND paid.show_id = ticket.show_id
    WHERE
        ticket.status = 'valid'
        AND (seat.status, paid.status) IS DISTINCT FROM ('sold', 'paid')
    UNION ALL
    SELECT
        'paid_orders_have_their_tickets',
        count(*),
        'Paid orders whose tickets, refunded ones too, do not match their seats or their amount.'
    FROM {{ schema }}.ticket_orders AS paid
    LEFT JOIN (
        SELECT
            ticket.order_id,
            ticket.show_id,
            array_agg(ticket.show_seat_id ORDER BY ticket.show_seat_id) AS seat_ids,
            sum(ticket.price_in_cents) AS total
        FROM {{ schema }}.tickets AS ticket
        GROUP BY
            ticket.order_id,
            ticket.show_id
    ) AS issued ON issued.order_id = paid.id AND issued.show_id = paid.show_id
    WHERE
        paid.status = 'paid'
        AND (COALESCE(issued.seat_ids, '{}'), COALESCE(issued.total, 0))
        IS DISTINCT FROM (paid.seat_ids, paid.total_amount_in_cents::numeric)
    UNION ALL
    SELECT
        'completed_holds_were_paid',
        count(*),
        'Completed reservations without a paid or refunded order.'
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.status = 'completed'
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.ticket_orders AS paid
            WHERE
                paid.reservation_id = hold.id
                AND paid.show_id = hold.show_id
                AND paid.status IN ('paid', 'refunded')
        )
    UNION ALL
    SELECT
        'payments_bought_or_are_owed',
        count(*),
        'Payments that neither paid their order nor have a row in refunds.'
    FROM {{ schema }}.payment_events AS came
    WHERE
        came.kind = 'payment'
        AND came.amount_in_cents > 0
        AND (came.success, came.order_status) IS DISTINCT FROM (true, 'paid')
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.refunds AS owed
            WHERE
                owed.order_id = came.order_id
                AND owed.show_id = came.show_id
                AND owed.payment_provider = came.provider
                AND owed.payment_event_id = came.event_id
        )
    UNION ALL
    SELECT
        'refund_due_orders_are_owed',
        count(*),
        'Orders in status refund_due without a due refund of their amount.'
    FROM {{ schema }}.ticket_orders AS unlucky
    WHERE
        unlucky.status = 'refund_due'
        AND unlucky.total_amount_in_cents > 0
        AND NOT EXISTS (
            SELECT
            FROM {{ schema }}.refunds AS owed
            WHERE
                owed.order_id = unlucky.id
                AND owed.show_id = unlucky.show_id
                AND owed.status = 'due'
                AND owed.reason IN ('late_payment', 'show_cancelled')
                AND owed.amount_in_cents = unlucky.total_amount_in_cents
        )
    UNION ALL
    SELECT
        'refunds_add_up',
        count(*),
        'Orders whose refunded amount differs from their refunds or, if refunded, their amount.'
    FROM {{ schema }}.ticket_orders AS paid
    LEFT JOIN (
        SELECT
            refund.order_id,
            refund.show_id,
            sum(refund.amount_in_cents) AS total
        FROM {{ schema }}.refunds AS refund
        WHERE
            -- Those were paid in addition to the amount of the order.
            refund.reason NOT IN ('double_payment', 'amount_mismatch')
            -- An order that bought no tickets is refunded when its money has gone back.
            AND (refund.status = 'done' OR refund.ticket_ids <> '{}')
        GROUP BY
            refund.order_id,
            refund.show_id
    ) AS returned ON returned.order_id = paid.id AND returned.show_id = paid.show_id
    WHERE
        paid.refunded_amount_in_cents <> COALESCE(returned.total, 0)
        OR paid.status = 'refunded'
        AND paid.refunded_amount_in_cents <> paid.total_amount_in_cents
    UNION ALL
    SELECT
        'money_adds_up',
        count(*),
        'Orders of which the money received is not that in tickets, returned or due together.'
    FROM (
        SELECT
        FROM (
            SELECT
                came.order_id,
                came.show_id,
                came.amount_in_cents
            FROM {{ schema }}.payment_events AS came
            WHERE
                came.kind = 'payment'
                AND came.amount_in_cents > 0
            UNION ALL
            SELECT
                ticket.order_id,
                ticket.show_id,
                -ticket.price_in_cents
            FROM {{ schema }}.tickets AS ticket
            WHERE ticket.status <> 'refunded'
            UNION ALL
            SELECT
                refund.order_id,
                refund.show_id,
                -refund.amount_in_cents
            FROM {{ schema }}.refunds AS refund
        ) AS money
        GROUP BY
            money.order_id,
            money.show_id
        HAVING sum(money.amount_in_cents) <> 0
    ) AS orders;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.current_violations() IS
'Invariants and the number of violations of each, counted now. Reads all seats and reservations.';
