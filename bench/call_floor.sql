-- The floor of P1: one statement that writes the rows of one hold of two seats and returns the answer, checking nothing.
WITH hold AS (
    INSERT INTO floor.seat_reservations (show_id, session_id, expires_at)
    VALUES (lpad(:show, 32, '0')::uuid, lpad(:k, 32, 's'), now() + interval '10 minutes')
    RETURNING id, show_id, session_id, reservation_token, expires_at
),

seats AS (
    UPDATE floor.show_seats
    SET
        status = 'reserved',
        reserved_by = hold.id,
        reserved_until = hold.expires_at
    FROM hold
    WHERE
        show_seats.show_id = lpad(:show, 32, '0')::uuid
        AND show_seats.id = ANY(ARRAY[lpad(:a, 32, '0')::uuid, lpad(:b, 32, '0')::uuid])
    RETURNING show_seats.id, show_seats.show_id, show_seats.reserved_by, show_seats.price_in_cents
),

claims AS (
    INSERT INTO floor.reservation_seats (
        reservation_id, show_seat_id, show_id, price_in_cents, currency
    )
    SELECT seats.reserved_by, seats.id, seats.show_id, seats.price_in_cents, 'EUR'
    FROM seats
    RETURNING price_in_cents
),

event AS (
    INSERT INTO floor.seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids
    )
    SELECT
        'created', hold.id, hold.show_id, hold.session_id, 2,
        ARRAY[lpad(:a, 32, '0')::uuid, lpad(:b, 32, '0')::uuid]
    FROM hold
)

SELECT
    true AS success,
    hold.id,
    hold.reservation_token,
    hold.expires_at,
    (SELECT sum(claims.price_in_cents)::bigint FROM claims) AS total_amount_in_cents
FROM hold;
