-- Locks what a call of the box office is about, which may be thousands of rows: reservations, their
-- orders, then seats, each in the order of id, as all functions do. Ten rows at a time: buyers hold
-- some of the seats at any moment, each for milliseconds, so each wait gets a tenth of a second and
-- what is locked stays locked; were the limit divided among thousands of rows, as in
-- wait_for_others(), no attempt would ever succeed.
--
-- The show is compared, and the ids are sorted, in a form that matches no index: with the
-- statistics of a quiet night it would seem cheap to read one of them from end to end.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_for_staff(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_seat_ids uuid[],
    p_since timestamptz,
    p_is_out_of_order boolean DEFAULT false
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_rows refcursor;
    v_seat_ids uuid[];
BEGIN
    FOR v_step IN 1..3 LOOP
        IF v_step = 1 THEN
            OPEN v_rows FOR
            SELECT hold.id
            FROM {{ schema }}.seat_reservations AS hold
            WHERE
                COALESCE(hold.show_id) = p_show_id
                AND hold.id = ANY(p_reservation_ids)
            ORDER BY COALESCE(hold.id)
            FOR UPDATE;
        ELSIF v_step = 2 THEN
            OPEN v_rows FOR
            SELECT made.id
            FROM {{ schema }}.ticket_orders AS made
            WHERE
                COALESCE(made.show_id) = p_show_id
                AND made.reservation_id = ANY(p_reservation_ids)
            ORDER BY COALESCE(made.id)
            FOR UPDATE;
        ELSE
            -- All seats of holds that have not ended: the caller is going to end them. FILTER
            -- instead of WHERE, so that claims are found by their reservation and not by the index
            -- of all live claims.
            SELECT
                COALESCE(
                    array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'
                )
            INTO v_seat_ids
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                claim.show_id = p_show_id
                AND claim.reservation_id = ANY(
                    ARRAY(
                        SELECT hold.id
                        FROM {{ schema }}.seat_reservations AS hold
                        WHERE
                            COALESCE(hold.show_id) = p_show_id
                            AND hold.id = ANY(p_reservation_ids)
                            AND hold.ended_at IS NULL
                    )
                );

            OPEN v_rows FOR
            SELECT seat.id
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(p_seat_ids || v_seat_ids)
            ORDER BY COALESCE(seat.id)
            FOR UPDATE;
        END IF;

        LOOP
            -- When the time is up, only what is free is locked. The same out of order, where others
            -- may be waiting for this call: there a longer wait could be a deadlock.
            IF NOT {{ internal_schema }}.wait_for_others(p_since) OR p_is_out_of_order THEN
                PERFORM set_config('lock_timeout', '1', true);
            END IF;
            MOVE FORWARD 10 FROM v_rows;
            EXIT WHEN NOT FOUND;
        END LOOP;
        CLOSE v_rows;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_for_staff(
    uuid, uuid[], uuid[], timestamptz, boolean
) IS
'Locks reservations of a show, their orders, these seats and all seats of those reservations that '
'are still holds. Raises lock_not_available if a row stays locked by another session. All waits '
'together end within two seconds of p_since, when the call began.';
