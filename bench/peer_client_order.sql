-- Peer: take seat after seat with a conditional UPDATE, in the order in which the client named them, and give all back
-- when one is gone. Two buyers who name two seats in opposite order deadlock; the caller tries again.
CREATE FUNCTION peer.reserve_client_order(p_show_id uuid, p_seat_ids uuid[], p_session_id text)
RETURNS boolean
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
AS $body$
DECLARE
    v_seat_id uuid;
BEGIN
    BEGIN
        FOREACH v_seat_id IN ARRAY p_seat_ids LOOP
            UPDATE floor.show_seats
            SET status = 'reserved'
            WHERE
                show_seats.show_id = p_show_id
                AND show_seats.id = v_seat_id
                AND show_seats.status = 'available';
            IF NOT FOUND THEN
                RAISE EXCEPTION 'taken';
            END IF;
        END LOOP;
        PERFORM peer.write_hold(p_show_id, p_seat_ids, p_session_id);
        RETURN true;
    EXCEPTION
        WHEN raise_exception THEN
            PERFORM peer.write_refusal(p_show_id, p_seat_ids, p_session_id);
            RETURN false;
    END;
END;
$body$;
