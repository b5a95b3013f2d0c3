-- Called by reserve_seats() and retake_seats() when overdue holds have the wanted seats: ends those
-- holds, without the cleanup. Waits for locks, since the buyer needs the seats;
-- expire_reservations_for_cleanup() skips what is locked.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.expire_reservations_for_buyer(
    p_show_id uuid,
    p_reservation_ids uuid[],
    p_lock_seat_ids uuid[]
)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_now constant timestamptz := clock_timestamp();
    v_locked_ids uuid[];
BEGIN
    v_locked_ids := ARRAY(
        SELECT hold.id
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = ANY(p_reservation_ids)
            AND hold.ended_at IS NULL
            AND hold.expires_at <= v_now
        ORDER BY hold.id
        FOR UPDATE
    );
    PERFORM {{ internal_schema }}.end_reservations(
        p_show_id, v_locked_ids, 'expired', p_lock_seat_ids
    );
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.expire_reservations_for_buyer(uuid, uuid[], uuid[]) IS
'Ends those of these reservations that are overdue, waiting for locks, and locks p_lock_seat_ids '
'for the caller.';
