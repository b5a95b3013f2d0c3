-- Ends overdue holds, oldest first, in the caller's transaction; the job is
-- run_reservation_cleanup(). Sales do not depend on either: they keep tables and dashboards tidy.
CREATE OR REPLACE FUNCTION {{ schema }}.cleanup_expired_seat_reservations(
    p_batch_size integer DEFAULT 5000,
    OUT total_reservations_expired integer,
    OUT total_seats_released integer,
    OUT reservation_ids uuid[]
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_batch record;
    v_ended record;
    v_after_expires_at timestamptz := '-infinity'::timestamptz;
    v_after_id uuid := '00000000-0000-0000-0000-000000000000'::uuid;
    v_error text;
BEGIN
    IF p_batch_size IS NULL OR p_batch_size NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'p_batch_size must be between 1 and 100000, not %',
            COALESCE(p_batch_size::text, 'NULL')
        USING ERRCODE = 'invalid_parameter_value';
    END IF;
    total_reservations_expired := 0;
    total_seats_released := 0;
    reservation_ids := '{}';

    -- Repeated, since some of a round may have been locked by other sessions.
    WHILE total_reservations_expired < p_batch_size LOOP
        FOR v_batch IN
            SELECT batch.*
            FROM {{ internal_schema }}.overdue_reservation_batches(
                p_batch_size - total_reservations_expired, p_batch_size,
                v_after_expires_at, v_after_id
            ) AS batch
        LOOP
            v_ended := {{ internal_schema }}.expire_reservations_for_cleanup(
                v_batch.show_id, v_batch.reservation_ids
            );
            -- Cancelled, or to be retried by the caller.
            IF v_ended.error_code IN ('57014', '40001') THEN
                RAISE EXCEPTION '%', v_ended.error_message USING ERRCODE = v_ended.error_code;
            END IF;
            v_error := COALESCE(v_error, v_ended.error_message);
            reservation_ids := reservation_ids || v_ended.ended_ids;
            total_seats_released := total_seats_released + v_ended.seats_released;
            v_after_expires_at := v_batch.last_expires_at;
            v_after_id := v_batch.last_id;
        END LOOP;
        EXIT WHEN NOT FOUND;
        total_reservations_expired := cardinality(reservation_ids);
    END LOOP;
    IF v_error IS NOT NULL THEN
        RAISE WARNING 'Some holds could not be ended: %', v_error;
    END IF;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.cleanup_expired_seat_reservations(integer) IS
'Ends at most p_batch_size overdue holds and frees their seats. Skips a hold that is locked, or '
'has a locked seat; and, with a warning, a hold that cannot be ended. Returns how many holds and '
'seats, and which holds.';
