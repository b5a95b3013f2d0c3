-- One step of the cleanup. What somebody holds locked is being dealt with by somebody, and is left
-- for the next run.
CREATE OR REPLACE FUNCTION {{ schema }}.end_overdue_holds(
    p_show_id uuid,
    p_reservation_ids uuid[],
    OUT ended_ids uuid[],
    OUT seats_released integer
)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
-- The arrays would be planned anew each time, and for their present length.
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
BEGIN
    ended_ids := ARRAY(
        SELECT hold.id
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = ANY(p_reservation_ids)
            AND hold.ended_at IS NULL
            AND hold.expires_at <= now()
        ORDER BY hold.id
        FOR UPDATE SKIP LOCKED
    );
    seats_released := {{ schema }}.end_holds(p_show_id, ended_ids, 'expired');
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.end_overdue_holds(uuid, uuid[]) IS
'Ends those of these reservations of a show that are over and that nobody holds locked, and frees '
'their seats; returns which, and how many seats. Internal.';
