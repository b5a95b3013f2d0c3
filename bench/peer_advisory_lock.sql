-- Peer: one advisory lock for the whole show, then look, then write. Buyers cannot collide, and cannot proceed in parallel.
CREATE FUNCTION peer.reserve_advisory_lock(p_show_id uuid, p_seat_ids uuid[], p_session_id text)
RETURNS boolean
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
AS $body$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(p_show_id::text, 0));
    IF EXISTS (
        SELECT
        FROM floor.show_seats AS seat
        WHERE seat.show_id = p_show_id AND seat.id = ANY(p_seat_ids) AND seat.status <> 'available'
    ) THEN
        PERFORM peer.write_refusal(p_show_id, p_seat_ids, p_session_id);
        RETURN false;
    END IF;
    PERFORM peer.write_hold(p_show_id, p_seat_ids, p_session_id);
    RETURN true;
END;
$body$;
