-- What the peers write to: the floor's tables, and the one index that finds the claims on a seat. Each peer writes the
-- same rows as reserve_seats does, refusals included, and is one call too: what differs is how it serializes buyers.
-- Shops do it from the application, in several round trips with the locks held: they are slower than this.
CREATE SCHEMA peer;

CREATE INDEX reservation_seats_show_seat_id_idx ON floor.reservation_seats (show_id, show_seat_id)
WHERE released_at IS NULL;

CREATE FUNCTION peer.write_hold(p_show_id uuid, p_seat_ids uuid[], p_session_id text)
RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = 'force_generic_plan'
AS $body$
DECLARE
    v_id uuid;
BEGIN
    INSERT INTO floor.seat_reservations (show_id, session_id, expires_at)
    VALUES (p_show_id, p_session_id, now() + interval '10 minutes')
    RETURNING seat_reservations.id INTO v_id;

    INSERT INTO floor.reservation_seats (reservation_id, show_seat_id, show_id, price_in_cents, currency)
    SELECT v_id, seat.id, seat.show_id, seat.price_in_cents, 'EUR'
    FROM floor.show_seats AS seat
    WHERE seat.show_id = p_show_id AND seat.id = ANY(p_seat_ids);

    UPDATE floor.show_seats
    SET reserved_by = v_id, reserved_until = now() + interval '10 minutes', status = 'reserved'
    WHERE show_seats.show_id = p_show_id AND show_seats.id = ANY(p_seat_ids);

    INSERT INTO floor.seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids
    )
    VALUES ('created', v_id, p_show_id, p_session_id, cardinality(p_seat_ids), p_seat_ids);
END;
$body$;

CREATE FUNCTION peer.write_refusal(p_show_id uuid, p_seat_ids uuid[], p_session_id text)
RETURNS void
LANGUAGE plpgsql
AS $body$
BEGIN
    INSERT INTO floor.seat_reservation_audit_log (
        event_type, show_id, session_id, seat_count, seat_ids, error_code, error_message
    )
    VALUES (
        'failed', p_show_id, p_session_id, cardinality(p_seat_ids), p_seat_ids, 'SEATS_UNAVAILABLE',
        'One or more seats were taken by another customer'
    );
END;
$body$;
