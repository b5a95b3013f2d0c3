-- Puts blocked seats back on sale: all of them or none, whatever the status of the show.
CREATE OR REPLACE FUNCTION {{ schema }}.unblock_seats(
    p_show_id uuid,
    p_seat_ids uuid[],
    p_staff text
)
RETURNS TABLE (
    success boolean,
    seats_unblocked integer,
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
    v_seat_ids uuid[];
    v_detail jsonb := jsonb_build_object('staff', left(p_staff, 200));
BEGIN
    LOOP
        BEGIN
            IF NOT {{ internal_schema }}.is_staff_request(p_show_id, p_seat_ids, p_staff) THEN
                error_code := 'INVALID_INPUT';
                EXIT;
            END IF;
            PERFORM {{ internal_schema }}.lock_for_staff(p_show_id, '{}', p_seat_ids, v_since);
            SELECT
                CASE
                    WHEN count(*) < cardinality(p_seat_ids) THEN 'SEATS_NOT_FOUND'
                    -- An overdue hold counts as gone.
                    WHEN bool_or(
                        seat.status = 'sold'
                        OR COALESCE(seat.reserved_until > clock_timestamp(), false)
                    ) THEN 'SEATS_NOT_BLOCKED'
                END
            INTO error_code
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = p_show_id
                AND seat.id = ANY(p_seat_ids);
            EXIT WHEN error_code IS NOT NULL;

            WITH unblocked AS (
                UPDATE {{ schema }}.show_seats
                SET status = 'available'
                WHERE
                    show_seats.show_id = p_show_id
                    AND show_seats.id = ANY(p_seat_ids)
                    AND show_seats.status = 'blocked'
                RETURNING show_seats.id
            )

            SELECT COALESCE(array_agg(unblocked.id ORDER BY unblocked.id), '{}')
            INTO v_seat_ids
            FROM unblocked;

            IF v_seat_ids <> '{}' THEN
                PERFORM {{ internal_schema }}.log_staff_action(
                    'unblocked', p_show_id, NULL, v_seat_ids, p_staff
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
        seats_unblocked := cardinality(v_seat_ids);
    ELSE
        error_message := {{ internal_schema }}.error_message(error_code);
        PERFORM {{ internal_schema }}.log_reservation_failure(
            'unblock_seats', error_code, error_message, p_show_id, NULL, NULL, p_seat_ids,
            p_detail => v_detail
        );
    END IF;
    RETURN NEXT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.unblock_seats(uuid, uuid[], text) IS
'Puts blocked seats back on sale, all or none; those that are available already stay so. Error '
'codes: INVALID_INPUT, SEATS_NOT_FOUND, SEATS_NOT_BLOCKED (held or sold), BUSY (after 2 s; try '
'again), INTERNAL_ERROR.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.unblock_seats(uuid, uuid[], text) TO {{ box_office_role }};
{% endif %}
