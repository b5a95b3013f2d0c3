-- The first step of every call that passes a token, which begins with the show: finds the
-- reservation without a lock, then locks it by its primary key.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_reservation(p_reservation_token text)
RETURNS {{ schema }}.seat_reservations
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_show_id constant uuid := CASE
        WHEN length(p_reservation_token) = 64
            AND translate(p_reservation_token, '0123456789abcdef', '') = ''
            THEN left(p_reservation_token, 32)::uuid
    END;
    v_id uuid;
    v_hold {{ schema }}.seat_reservations;
BEGIN
    SELECT hold.id
    INTO v_id
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.reservation_token = p_reservation_token
        AND hold.show_id = v_show_id;

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
'Locks the reservation with this token and returns its present state; a row of NULLs if there is '
'none. A caller that decides by the result must also update the row: at REPEATABLE READ, a mere '
'lock does not make concurrent transactions fail.';
