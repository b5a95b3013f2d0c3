-- Called when the money was given back. Seats that were sold can be sold again. What
-- cancel_tickets() took back before stays due until record_refund().
CREATE OR REPLACE FUNCTION {{ schema }}.refund_order(p_show_id uuid, p_order_id uuid)
RETURNS TABLE (
    success boolean,
    order_id uuid,
    status text,
    seats_released integer,
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
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    -- Records: a row type would wait for a locked table before the block begins.
    v_order record;
    v_reservation_id uuid;
    v_old_status text;
    v_seat_count integer;
    v_has_waited boolean := false;
    v_detail jsonb := '{}'::jsonb;
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    LOOP
        BEGIN
            v_order := {{ internal_schema }}.lock_order(p_show_id, p_order_id);
            order_id := v_order.id;
            v_reservation_id := v_order.reservation_id;
            v_old_status := v_order.status;
            v_seat_count := cardinality(v_order.seat_ids);
            error_code := CASE
                WHEN v_order.id IS NULL THEN 'NOT_FOUND'
                WHEN v_order.status NOT IN ('paid', 'refund_due') THEN 'ORDER_NOT_REFUNDABLE'
            END;
            EXIT WHEN error_code IS NOT NULL;

            IF v_order.status = 'paid' THEN
                SELECT taken.seats_freed
                INTO seats_released
                FROM {{ internal_schema }}.take_back_tickets(
                    p_show_id,
                    ARRAY[v_order.id],
                    NULL,
                    (
                        SELECT
                            CASE show.status
                                WHEN 'cancelled' THEN 'show_cancelled'
                                ELSE 'tickets_cancelled'
                            END
                        FROM {{ schema }}.shows AS show
                        WHERE show.id = p_show_id
                    ),
                    'done'
                ) AS taken;
            ELSE
                -- An order that is refund_due has no tickets: its seats may have another buyer by
                -- now. This refund does not cover other payments for the order: a second one, or
                -- one with a wrong amount.
                seats_released := 0;
                UPDATE {{ schema }}.refunds
                SET
                    status = 'done',
                    done_at = now()
                WHERE
                    refunds.order_id = v_order.id
                    AND refunds.show_id = p_show_id
                    AND refunds.status = 'due'
                    AND refunds.reason IN ('late_payment', 'show_cancelled');

                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'refunded',
                    refunded_amount_in_cents = ticket_orders.total_amount_in_cents
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.id = v_order.id;
            END IF;
            EXIT;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since, v_seat_count) THEN
                    error_code := 'BUSY';
                    EXIT;
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
                EXIT;
        END;
    END LOOP;

    success := error_code IS NULL;
    IF success THEN
        status := 'refunded';
    ELSE
        seats_released := NULL;
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        status := v_old_status;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'refund_order', error_code, error_message, p_show_id, p_order_id,
            v_reservation_id, p_old_status => v_old_status, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.refund_order(uuid, uuid) IS
'Records that an order, paid or refund_due, was refunded, also in refunds, and frees its seats; of '
'a paid order what is left of it. A seat whose ticket was checked in becomes blocked. '
'Error codes: NOT_FOUND, ORDER_NOT_REFUNDABLE, BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.refund_order(uuid, uuid) TO {{ app_role }};
{% endif %}
