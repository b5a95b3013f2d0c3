-- Gives tickets other seats, all or none, thousands at once: ticket i gets seat i. A seat may be
-- one that another of the tickets leaves.
CREATE OR REPLACE FUNCTION {{ schema }}.move_tickets(
    p_show_id uuid,
    p_ticket_ids uuid[],
    p_seat_ids uuid[],
    p_staff text
)
RETURNS TABLE (
    success boolean,
    tickets_moved integer,
    error_code text,
    error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
-- Limits each wait, see wait_for_others(). The caller's own setting does not apply.
SET lock_timeout = '100ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
-- The arrays may have thousands of elements, and the planner expects ten. Tables are read by = ANY,
-- and what they return is joined to the arrays by a hash. The show is compared in a form that
-- matches no index: with the statistics of a quiet night, all tickets of a show seem to be few.
SET enable_nestloop = off
SET enable_mergejoin = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_now timestamptz;
    -- The tickets that do not have their seat yet: arrays of the same length, an element a ticket.
    v_moves record;
    v_new_ids uuid[];
    v_free_ids uuid[];
    v_taken record;
    v_rows bigint;
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    LOOP
        BEGIN
            v_now := clock_timestamp();
            IF NOT {{ internal_schema }}.is_staff_request(p_show_id, p_ticket_ids, p_staff)
                OR NOT {{ internal_schema }}.is_staff_request(p_show_id, p_seat_ids, p_staff)
                OR cardinality(p_ticket_ids) <> cardinality(p_seat_ids)
            THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            SELECT
                count(*) AS found,
                COALESCE(array_agg(ticket.id) FILTER (WHERE moved.leaves), '{}') AS ticket_ids,
                array_agg(sold.id) FILTER (WHERE moved.leaves) AS order_ids,
                array_agg(sold.reservation_id) FILTER (WHERE moved.leaves) AS reservation_ids,
                array_agg(ticket.show_seat_id) FILTER (WHERE moved.leaves) AS old_ids,
                array_agg(wanted.seat_id) FILTER (WHERE moved.leaves) AS new_ids,
                array_agg(ticket.price_in_cents) FILTER (WHERE moved.leaves) AS prices,
                array_agg(ticket.currency) FILTER (WHERE moved.leaves) AS currencies,
                array_agg(ticket.ticket_type) FILTER (WHERE moved.leaves) AS ticket_types
            INTO v_moves
            FROM unnest(p_ticket_ids, p_seat_ids) AS wanted (ticket_id, seat_id)
            INNER JOIN {{ schema }}.tickets AS ticket
                ON
                    ticket.id = wanted.ticket_id
                    AND ticket.id = ANY(p_ticket_ids)
                    AND COALESCE(ticket.show_id) = p_show_id
            INNER JOIN {{ schema }}.ticket_orders AS sold
                ON
                    sold.id = ticket.order_id
                    AND sold.id = ANY(
                        ARRAY(
                            SELECT ours.order_id
                            FROM {{ schema }}.tickets AS ours
                            WHERE
                                ours.id = ANY(p_ticket_ids)
                                AND COALESCE(ours.show_id) = p_show_id
                        )
                    )
                    AND COALESCE(sold.show_id) = p_show_id
            CROSS JOIN LATERAL (SELECT ticket.show_seat_id <> wanted.seat_id AS leaves) AS moved
            -- The valid ones, in a form that does not match the index of all valid tickets.
            WHERE ticket.status NOT IN ('cancelled', 'refunded');

            IF v_moves.found < cardinality(p_ticket_ids) THEN
                error_code := 'TICKETS_NOT_FOUND';
                EXIT;
            END IF;
            EXIT WHEN v_moves.ticket_ids = '{}';

            v_new_ids := ARRAY(
                SELECT wanted.id FROM unnest(v_moves.new_ids) AS wanted (id)
                EXCEPT
                SELECT vacated.id FROM unnest(v_moves.old_ids) AS vacated (id)
            );
            v_free_ids := ARRAY(
                SELECT vacated.id FROM unnest(v_moves.old_ids) AS vacated (id)
                EXCEPT
                SELECT wanted.id FROM unnest(v_moves.new_ids) AS wanted (id)
            );
            SELECT taken.*
            INTO v_taken
            FROM {{ internal_schema }}.take_seats(
                p_show_id,
                v_new_ids,
                v_since,
                p_lock_reservation_ids => v_moves.reservation_ids,
                p_lock_seat_ids => v_moves.old_ids
            ) AS taken;
            error_code := v_taken.error_code;
            EXIT WHEN error_code IS NOT NULL;

            -- One ticket and one live claim a seat, at each moment: all leave before any arrives.
            UPDATE {{ schema }}.tickets
            SET status = 'cancelled'
            FROM unnest(v_moves.ticket_ids, v_moves.old_ids) AS moved (ticket_id, old_id)
            WHERE
                tickets.id = ANY(v_moves.ticket_ids)
                AND tickets.id = moved.ticket_id
                AND COALESCE(tickets.show_id) = p_show_id
                AND tickets.show_seat_id = moved.old_id
                AND tickets.status NOT IN ('cancelled', 'refunded');
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            IF v_rows < cardinality(v_moves.ticket_ids) THEN
                RAISE EXCEPTION 'a ticket was moved or refunded between the look and the lock'
                USING ERRCODE = 'lock_not_available';
            END IF;

            -- The live claims on those seats, in a form that matches the primary key only.
            UPDATE {{ schema }}.reservation_seats
            SET released_at = v_now
            WHERE
                reservation_seats.reservation_id = ANY(v_moves.reservation_ids)
                AND reservation_seats.show_id = p_show_id
                AND COALESCE(reservation_seats.show_seat_id) = ANY(v_moves.old_ids)
                AND COALESCE(reservation_seats.released_at, 'infinity') = 'infinity';

            INSERT INTO {{ schema }}.reservation_seats (
                reservation_id, show_seat_id, show_id, price_in_cents, currency, ticket_type
            )
            SELECT
                moved.reservation_id,
                moved.new_id,
                p_show_id,
                moved.price,
                moved.currency,
                moved.ticket_type
            FROM unnest(
                v_moves.reservation_ids, v_moves.new_ids, v_moves.prices, v_moves.currencies,
                v_moves.ticket_types
            ) AS moved (reservation_id, new_id, price, currency, ticket_type)
            -- The reservation has had that seat before.
            ON CONFLICT ON CONSTRAINT reservation_seats_pkey DO UPDATE
            SET
                price_in_cents = excluded.price_in_cents,
                ticket_type = excluded.ticket_type,
                released_at = NULL;

            UPDATE {{ schema }}.tickets
            SET
                status = 'valid',
                show_seat_id = moved.new_id
            FROM unnest(v_moves.ticket_ids, v_moves.new_ids) AS moved (ticket_id, new_id)
            WHERE
                tickets.id = ANY(v_moves.ticket_ids)
                AND tickets.id = moved.ticket_id
                AND COALESCE(tickets.show_id) = p_show_id;

            UPDATE {{ schema }}.show_seats
            SET status = 'available'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_free_ids)
                AND show_seats.status = 'sold';

            UPDATE {{ schema }}.show_seats
            SET status = 'sold'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_new_ids);

            -- ALL: an order may have had a seat twice, for a ticket that was refunded and for one
            -- that was moved there.
            UPDATE {{ schema }}.ticket_orders
            SET seat_ids = ARRAY(
                (
                    SELECT had.id FROM unnest(ticket_orders.seat_ids) AS had (id)
                    EXCEPT ALL
                    SELECT vacated.id FROM unnest(moved.old_ids) AS vacated (id)
                )
                UNION ALL
                SELECT wanted.id FROM unnest(moved.new_ids) AS wanted (id)
                ORDER BY id
            )
            FROM (
                SELECT
                    one.order_id,
                    array_agg(one.old_id) AS old_ids,
                    array_agg(one.new_id) AS new_ids
                FROM unnest(v_moves.order_ids, v_moves.old_ids, v_moves.new_ids)
                    AS one (order_id, old_id, new_id)
                GROUP BY one.order_id
            ) AS moved
            WHERE
                ticket_orders.id = ANY(v_moves.order_ids)
                AND ticket_orders.id = moved.order_id
                AND COALESCE(ticket_orders.show_id) = p_show_id;

            PERFORM {{ internal_schema }}.log_staff_action(
                'moved', p_show_id, moved.reservation_id, moved.new_ids, p_staff,
                jsonb_build_object(
                    'from_seat_ids', moved.old_ids,
                    'blocked_seat_ids', moved.blocked_ids
                )
            )
            FROM (
                SELECT
                    one.reservation_id,
                    array_agg(one.old_id) AS old_ids,
                    array_agg(one.new_id) AS new_ids,
                    COALESCE(
                        array_agg(one.new_id)
                        FILTER (WHERE one.new_id = ANY(v_taken.blocked_seat_ids)),
                        '{}'
                    ) AS blocked_ids
                FROM unnest(v_moves.reservation_ids, v_moves.old_ids, v_moves.new_ids)
                    AS one (reservation_id, old_id, new_id)
                GROUP BY one.reservation_id
                ORDER BY one.reservation_id
            ) AS moved;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        tickets_moved := cardinality(v_moves.ticket_ids);
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'move_tickets', error_code, error_message, p_show_id, NULL, NULL, p_seat_ids,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.move_tickets(uuid, uuid[], uuid[], text) IS
'Gives each ticket the seat at the same place of the other list, all or none: the price, the code '
'and the order stay, and the seats that nobody keeps are available. Seats may be available, '
'blocked, or left by another of the tickets. A ticket that has its seat already stays there, so '
'the call is safe to repeat. Error codes: INVALID_INPUT, TICKETS_NOT_FOUND (or not valid), '
'SEATS_NOT_FOUND, SEATS_SOLD, SEATS_HELD, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.move_tickets(uuid, uuid[], uuid[], text)
TO {{ box_office_role }};
{% endif %}
