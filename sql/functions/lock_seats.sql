-- Everybody locks seats in id order, and all at once. Whoever finds one locked does not wait for
-- it: see wait_for_others().
CREATE OR REPLACE FUNCTION {{ schema }}.lock_seats(p_show_id uuid, p_seat_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
SET enable_bitmapscan = off
AS $body$
BEGIN
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND seat.id = ANY(p_seat_ids)
    ORDER BY seat.id
    FOR UPDATE NOWAIT;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.lock_seats(uuid, uuid[]) IS
'Locks these seats of a show in id order; raises lock_not_available where somebody else has one '
'locked. Internal.';
