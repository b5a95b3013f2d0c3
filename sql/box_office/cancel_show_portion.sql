-- One step of cancel_show(), and for clients that cannot CALL. The first call sets the status of
-- the show, and each later one winds up some reservations and orders, until nothing is left. Skips
-- what others have locked: a later call finds it again.
CREATE OR REPLACE FUNCTION {{ schema }}.cancel_show_portion(
    p_show_id uuid,
    p_staff text,
    p_limit integer DEFAULT 500
)
RETURNS TABLE (
    success boolean,
    holds_ended integer,
    orders_cancelled integer,
    orders_refunded integer,
    is_done boolean,
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
SET enable_bitmapscan = off
AS $body$
DECLARE
    v_since constant timestamptz := clock_timestamp();
    v_now timestamptz;
    v_status text;
    -- Reservations with live claims that this call has not tried, that it has locked, and that it
    -- had to leave because somebody else has locked an order or a seat of theirs.
    v_untried_ids uuid[];
    v_ids uuid[];
    v_left_ids uuid[];
    v_order_ids uuid[];
    v_locked_order_ids uuid[];
    v_seat_ids uuid[];
    v_locked_seat_ids uuid[];
    v_over_ids uuid[];
    v_held_ids uuid[];
    v_paid_ids uuid[];
    v_rows integer;
    v_has_waited boolean := false;
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    PERFORM {{ internal_schema }}.commit_durably();
    IF COALESCE(p_staff, '') !~ '[^[:space:]]'
        OR length(p_staff) > 200
        OR p_limit IS NULL
        OR p_limit NOT BETWEEN 1 AND 10000
    THEN
        error_code := 'INVALID_INPUT';
    END IF;

    WHILE error_code IS NULL LOOP
        BEGIN
            holds_ended := 0;
            orders_cancelled := 0;
            orders_refunded := 0;
            is_done := false;
            v_now := clock_timestamp();
            v_left_ids := '{}';
            SELECT show.status
            INTO v_status
            FROM {{ schema }}.shows AS show
            WHERE show.id = p_show_id;
            IF v_status IS NULL THEN
                error_code := 'NOT_FOUND';
                EXIT;
            ELSIF v_status <> 'cancelled' THEN
                -- Nothing else in this transaction, so that buyers learn of it at once.
                UPDATE {{ schema }}.shows
                SET status = 'cancelled'
                WHERE shows.id = p_show_id;
                PERFORM {{ internal_schema }}.log_order_action(
                    'cancel_show_portion', p_show_id, p_detail => v_detail
                );
                EXIT;
            END IF;

            -- What is held or sold has a live claim; the index contains no other.
            v_untried_ids := ARRAY(
                SELECT DISTINCT claim.reservation_id
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.show_id = p_show_id
                    AND claim.released_at IS NULL
            );
            WHILE v_untried_ids <> '{}' AND holds_ended + orders_refunded = 0 LOOP
                v_ids := ARRAY(
                    SELECT hold.id
                    FROM {{ schema }}.seat_reservations AS hold
                    WHERE
                        hold.show_id = p_show_id
                        AND hold.id = ANY(v_untried_ids)
                    LIMIT p_limit
                    FOR UPDATE SKIP LOCKED
                );
                EXIT WHEN v_ids = '{}';
                v_untried_ids := ARRAY(SELECT unnest(v_untried_ids) EXCEPT SELECT unnest(v_ids));

                v_order_ids := ARRAY(
                    SELECT open.id
                    FROM {{ schema }}.ticket_orders AS open
                    WHERE
                        open.show_id = p_show_id
                        AND open.reservation_id = ANY(v_ids)
                        AND open.status NOT IN ('cancelled', 'refund_due', 'refunded')
                );
                v_locked_order_ids := ARRAY(
                    SELECT open.id
                    FROM {{ schema }}.ticket_orders AS open
                    WHERE
                        open.show_id = p_show_id
                        AND open.id = ANY(v_order_ids)
                    FOR UPDATE SKIP LOCKED
                );
                -- FILTER instead of WHERE, so that claims are found by their reservation.
                SELECT
                    COALESCE(
                        array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                    )
                INTO v_seat_ids
                FROM {{ schema }}.reservation_seats AS claim
                WHERE
                    claim.reservation_id = ANY(v_ids)
                    AND claim.show_id = p_show_id;
                v_locked_seat_ids := ARRAY(
                    SELECT seat.id
                    FROM {{ schema }}.show_seats AS seat
                    WHERE
                        seat.show_id = p_show_id
                        AND seat.id = ANY(v_seat_ids)
                    FOR UPDATE SKIP LOCKED
                );
                v_order_ids := ARRAY(
                    SELECT unnest(v_order_ids) EXCEPT SELECT unnest(v_locked_order_ids)
                );
                v_seat_ids := ARRAY(
                    SELECT unnest(v_seat_ids) EXCEPT SELECT unnest(v_locked_seat_ids)
                );
                v_left_ids := v_left_ids || ARRAY(
                    SELECT open.reservation_id
                    FROM {{ schema }}.ticket_orders AS open
                    WHERE
                        open.show_id = p_show_id
                        AND open.id = ANY(v_order_ids)
                    UNION
                    SELECT claim.reservation_id
                    FROM {{ schema }}.reservation_seats AS claim
                    WHERE
                        claim.show_id = p_show_id
                        AND claim.show_seat_id = ANY(v_seat_ids)
                        AND claim.released_at IS NULL
                );
                v_ids := ARRAY(SELECT unnest(v_ids) EXCEPT SELECT unnest(v_left_ids));

                UPDATE {{ schema }}.ticket_orders
                SET
                    status = 'cancelled',
                    cancel_reason = 'show_cancelled'
                WHERE
                    ticket_orders.show_id = p_show_id
                    AND ticket_orders.reservation_id = ANY(v_ids)
                    AND ticket_orders.status IN ('pending', 'failed');
                GET DIAGNOSTICS v_rows = ROW_COUNT;
                orders_cancelled := orders_cancelled + v_rows;

                SELECT
                    COALESCE(array_agg(hold.id) FILTER (WHERE hold.expires_at <= v_now), '{}'),
                    COALESCE(array_agg(hold.id) FILTER (WHERE hold.expires_at > v_now), '{}')
                INTO
                    v_over_ids,
                    v_held_ids
                FROM {{ schema }}.seat_reservations AS hold
                WHERE
                    hold.show_id = p_show_id
                    AND hold.id = ANY(v_ids)
                    AND hold.ended_at IS NULL;
                PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_over_ids, 'expired');
                PERFORM {{ internal_schema }}.end_reservations(p_show_id, v_held_ids, 'released');
                holds_ended := cardinality(v_over_ids) + cardinality(v_held_ids);

                v_paid_ids := ARRAY(
                    SELECT paid.id
                    FROM {{ schema }}.ticket_orders AS paid
                    WHERE
                        paid.show_id = p_show_id
                        AND paid.reservation_id = ANY(v_ids)
                        AND paid.status = 'paid'
                );
                PERFORM
                FROM {{ internal_schema }}.take_back_tickets(
                    p_show_id, v_paid_ids, NULL, 'show_cancelled', 'due', p_staff
                );
                orders_refunded := cardinality(v_paid_ids);
            END LOOP;

            -- Orders whose hold was over before. It is enough to lock the order: a late payment
            -- that revives the hold changes the order, too.
            v_order_ids := ARRAY(
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.show_id = p_show_id
                    AND open.status = 'failed'
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            ) || ARRAY(
                -- Few orders are pending at any time, of all shows.
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.status = 'pending'
                    AND open.show_id = p_show_id
                ORDER BY open.created_at
                LIMIT p_limit
                FOR UPDATE SKIP LOCKED
            );
            UPDATE {{ schema }}.ticket_orders
            SET
                status = 'cancelled',
                cancel_reason = 'show_cancelled'
            WHERE
                ticket_orders.show_id = p_show_id
                AND ticket_orders.id = ANY(v_order_ids);
            GET DIAGNOSTICS v_rows = ROW_COUNT;
            orders_cancelled := orders_cancelled + v_rows;

            v_order_ids := ARRAY(
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.show_id = p_show_id
                    AND open.status = 'failed'
                LIMIT 1
            ) || ARRAY(
                SELECT open.id
                FROM {{ schema }}.ticket_orders AS open
                WHERE
                    open.status = 'pending'
                    AND open.show_id = p_show_id
                ORDER BY open.created_at
                LIMIT 1
            );
            is_done := v_untried_ids = '{}' AND v_left_ids = '{}' AND v_order_ids = '{}';
            IF holds_ended + orders_cancelled + orders_refunded > 0 THEN
                PERFORM {{ internal_schema }}.log_order_action(
                    'cancel_show_portion',
                    p_show_id,
                    p_detail => v_detail || jsonb_build_object(
                        'holds_ended', holds_ended,
                        'orders_cancelled', orders_cancelled,
                        'orders_refunded', orders_refunded
                    )
                );
                EXIT;
            END IF;
            EXIT WHEN is_done;

            -- All that is left is locked: wait for one reservation, or one order.
            v_has_waited := true;
            IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                error_code := 'BUSY';
                EXIT;
            END IF;
            v_ids := (v_left_ids || v_untried_ids)[:1];
            PERFORM
            FROM {{ schema }}.seat_reservations AS hold
            WHERE
                hold.show_id = p_show_id
                AND hold.id = ANY(v_ids)
            FOR UPDATE;
            PERFORM
            FROM {{ schema }}.ticket_orders AS open
            WHERE
                open.show_id = p_show_id
                AND open.id = ANY(
                    ARRAY(
                        SELECT mine.id
                        FROM {{ schema }}.ticket_orders AS mine
                        WHERE
                            mine.show_id = p_show_id
                            AND mine.reservation_id = ANY(v_ids)
                    ) || v_order_ids[:1]
                )
            ORDER BY open.id
            FOR UPDATE;
            PERFORM
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(
                    ARRAY(
                        SELECT claim.show_seat_id
                        FROM {{ schema }}.reservation_seats AS claim
                        WHERE
                            claim.show_id = p_show_id
                            AND claim.reservation_id = ANY(v_ids)
                    )
                )
            ORDER BY seat.id
            FOR UPDATE;
        EXCEPTION
            WHEN serialization_failure THEN
                RAISE;
            WHEN lock_not_available OR deadlock_detected THEN
                v_has_waited := true;
                IF NOT {{ internal_schema }}.wait_for_others(v_since) THEN
                    error_code := 'BUSY';
                END IF;
            WHEN OTHERS THEN
                error_code := 'INTERNAL_ERROR';
                v_detail := v_detail || jsonb_build_object('sqlstate', SQLSTATE, 'detail', SQLERRM);
        END;
    END LOOP;

    success := error_code IS NULL;
    IF NOT success THEN
        holds_ended := NULL;
        orders_cancelled := NULL;
        orders_refunded := NULL;
        is_done := NULL;
        IF NOT v_has_waited THEN
            -- The rest of two seconds, in case the log is locked.
            PERFORM set_config('lock_timeout', '900', true);
        END IF;
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_order_failure(
            'cancel_show_portion', error_code, error_message, p_show_id, p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cancel_show_portion(uuid, text, integer) IS
'Cancels a show in steps: the first call sets its status, and each later one winds up at most '
'p_limit reservations (1 to 10000): holds end, open orders are cancelled, tickets are refunded and '
'their seats free, and each paid order gets a row of refunds, which is due. Call it, each time in '
'a transaction of its own, until is_done. Skips what is locked by other sessions, while there is '
'something else to do. Error codes: NOT_FOUND, INVALID_INPUT (also a blank p_staff), BUSY (all '
'that is left is locked, for 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.cancel_show_portion(uuid, text, integer)
TO {{ box_office_role }};
{% endif %}
