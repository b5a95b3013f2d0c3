-- Peer: look for claims on the seats, then insert, locking nothing; the caller runs it SERIALIZABLE and tries again after
-- a serialization failure.
CREATE FUNCTION peer.reserve_serializable(p_show_id uuid, p_seat_ids uuid[], p_session_id text)
RETURNS boolean
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
AS $body$
BEGIN
    IF current_setting('transaction_isolation') <> 'serializable' THEN
        RAISE EXCEPTION 'this peer is nothing without SERIALIZABLE';
    END IF;
    IF EXISTS (
        SELECT
        FROM floor.reservation_seats AS claim
        WHERE
            claim.show_id = p_show_id
            AND claim.show_seat_id = ANY(p_seat_ids)
            AND claim.released_at IS NULL
    ) THEN
        PERFORM peer.write_refusal(p_show_id, p_seat_ids, p_session_id);
        RETURN false;
    END IF;
    PERFORM peer.write_hold(p_show_id, p_seat_ids, p_session_id);
    RETURN true;
END;
$body$;
