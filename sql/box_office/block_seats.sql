-- Takes seats off sale: all of them or none, thousands at once, whatever the status of the show.
CREATE OR REPLACE FUNCTION {{ schema }}.block_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_staff text,
    p_end_holds boolean DEFAULT false
)
RETURNS TABLE (
    success boolean,
    seats_blocked integer,
    holds_ended integer,
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
    v_taken record;
    v_seat_ids uuid[];
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    LOOP
        BEGIN
            IF NOT {{ internal_schema }}.is_staff_request(p_show_id, p_seat_ids, p_staff) THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            SELECT taken.*
            INTO v_taken
            FROM {{ internal_schema }}.take_seats(
                p_show_id, p_seat_ids, v_since, p_end_holds
            ) AS taken;
            error_code := v_taken.error_code;
            EXIT WHEN error_code IS NOT NULL;

            WITH blocked AS (
                UPDATE {{ schema }}.show_seats
                SET status = 'blocked'
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids)
                    AND show_seats.status = 'available'
                RETURNING show_seats.id
            )

            SELECT COALESCE(array_agg(blocked.id ORDER BY blocked.id), '{}')
            INTO v_seat_ids
            FROM blocked;

            IF v_seat_ids <> '{}' THEN
                PERFORM {{ internal_schema }}.log_staff_action(
                    'blocked', p_show_id, NULL, v_seat_ids, p_staff
                );
            END IF;
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
        seats_blocked := cardinality(v_seat_ids);
        holds_ended := v_taken.holds_ended;
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'block_seats', error_code, error_message, p_show_id, NULL, NULL, p_seat_ids,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.block_seats(uuid, uuid[], text, boolean) IS
'Takes seats off sale, all or none; those that are blocked already stay so. Ends overdue holds on '
'them, and with p_end_holds live ones, which lose all their seats; holds_ended counts the live '
'ones. Error codes: INVALID_INPUT, SEATS_NOT_FOUND, SEATS_SOLD, SEATS_HELD (by buyers, without '
'p_end_holds), BUSY (after 2 s; try again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.block_seats(uuid, uuid[], text, boolean)
TO {{ box_office_role }};
{% endif %}
