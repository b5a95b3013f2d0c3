-- Records that the money was given back. Seats that were sold can be sold again.
CREATE OR REPLACE FUNCTION {{ schema }}.refund_order(
    p_show_id uuid,
    p_order_id uuid,
    OUT success boolean,
    OUT order_id uuid,
    OUT status text,
    OUT seats_released integer,
    OUT error_code text,
    OUT error_message text
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_order {{ schema }}.ticket_orders;
    v_seat_ids uuid[];
    v_detail jsonb := '{}'::jsonb;
BEGIN
    BEGIN
        v_order := {{ schema }}.lock_order(p_show_id, p_order_id);
        status := v_order.status;
        error_code := CASE
            WHEN v_order.id IS NULL THEN 'NOT_FOUND'
            WHEN v_order.status NOT IN ('paid', 'refund_due') THEN 'ORDER_NOT_REFUNDABLE'
        END;
        IF error_code IS NULL THEN
            PERFORM
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(v_order.seat_ids)
            ORDER BY seat.id
            FOR UPDATE;

            -- An order that is refund_due has no tickets, so nothing below finds a row.
            WITH returned AS (
                UPDATE {{ schema }}.tickets
                SET status = 'refunded'
                WHERE
                    tickets.order_id = v_order.id
                    AND tickets.show_id = p_show_id
                    -- The valid ones, said so that the index of all valid ones does not apply.
                    AND tickets.status NOT IN ('cancelled', 'refunded')
                RETURNING tickets.show_seat_id
            )

            SELECT COALESCE(array_agg(returned.show_seat_id), '{}')
            INTO v_seat_ids
            FROM returned;

            UPDATE {{ schema }}.reservation_seats
            SET released_at = now()
            WHERE
                reservation_seats.reservation_id = v_order.reservation_id
                AND reservation_seats.show_id = p_show_id
                AND reservation_seats.show_seat_id = ANY(v_seat_ids);

            UPDATE {{ schema }}.show_seats
            SET status = 'available'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = ANY(v_seat_ids)
                AND show_seats.status = 'sold';

            status := 'refunded';
            UPDATE {{ schema }}.ticket_orders
            SET status = 'refunded'
            WHERE
                ticket_orders.show_id = p_show_id
                AND ticket_orders.id = v_order.id;
        END IF;
    EXCEPTION
        WHEN serialization_failure THEN
            RAISE;
        WHEN OTHERS THEN
            error_code := 'INTERNAL_ERROR';
            status := v_order.status;
            v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
    END;

    success := error_code IS NULL;
    order_id := v_order.id;
    IF success THEN
        seats_released := cardinality(v_seat_ids);
    ELSE
        error_message := {{ schema }}.error_message(error_code);
        PERFORM {{ schema }}.log_order_failure(
            'refund_order', error_code, error_message, p_show_id, p_order_id,
            v_order.reservation_id, p_old_status => v_order.status, p_detail => v_detail
        );
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.refund_order(uuid, uuid) IS
'Records that a paid order, or one that is refund_due, was refunded, and frees its seats. Error '
'codes: NOT_FOUND, ORDER_NOT_REFUNDABLE, INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.refund_order(uuid, uuid) TO {{ app_role }};
{% endif %}
