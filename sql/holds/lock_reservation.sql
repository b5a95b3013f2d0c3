-- The first step of every call that shows a token. Resolved without a lock, then locked by both
-- keys: a lock without an equality on the show could not be routed on a distributed table.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_reservation(p_reservation_token text)
RETURNS {{ schema }}.seat_reservations
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_show_id uuid;
    v_id uuid;
    v_hold {{ schema }}.seat_reservations;
BEGIN
    SELECT
        hold.show_id,
        hold.id
    INTO
        v_show_id,
        v_id
    FROM {{ schema }}.seat_reservations AS hold
    WHERE hold.reservation_token = p_reservation_token;

    SELECT hold.*
    INTO v_hold
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.show_id = v_show_id
        AND hold.id = v_id
    FOR UPDATE;
    RETURN v_hold;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_reservation(text) IS
'Locks the reservation with this token and returns it as it is then; a row of NULLs when there is '
'none. Who decides by what it returns changes the row, too: at REPEATABLE READ a lock alone makes '
'nobody fail who decided otherwise. Internal.';
