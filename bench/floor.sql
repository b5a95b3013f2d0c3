-- The floor of P1: the same tables with the same columns, defaults and fill factor, and nothing but primary keys.
CREATE SCHEMA floor;

CREATE TABLE floor.show_seats (
    LIKE public.show_seats INCLUDING DEFAULTS INCLUDING GENERATED,
    PRIMARY KEY (id, show_id)
) WITH (fillfactor = 70);

CREATE TABLE floor.seat_reservations (
    LIKE public.seat_reservations INCLUDING DEFAULTS INCLUDING GENERATED,
    PRIMARY KEY (id, show_id)
);

-- As the tables of the first measurements had it, so that the floor stays comparable with them.
ALTER TABLE floor.seat_reservations
ALTER COLUMN reservation_token
SET DEFAULT encode(uuid_send(ticketdb.uuid_v7()) || uuid_send(gen_random_uuid()), 'hex');

CREATE TABLE floor.reservation_seats (
    LIKE public.reservation_seats INCLUDING DEFAULTS INCLUDING GENERATED,
    PRIMARY KEY (reservation_id, show_seat_id, show_id)
);

-- Not partitioned: routing to a partition is a price of ours, not of the floor.
CREATE TABLE floor.seat_reservation_audit_log (
    LIKE public.seat_reservation_audit_log INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING IDENTITY,
    PRIMARY KEY (id)
);

INSERT INTO floor.show_seats
SELECT seat.*
FROM public.show_seats AS seat
ORDER BY seat.id;

INSERT INTO floor.seat_reservations (
    id, show_id, reservation_token, session_id, status, expires_at, created_at, ended_at
)
SELECT
    hold.id,
    hold.show_id,
    hold.reservation_token,
    hold.session_id,
    hold.status,
    hold.expires_at,
    hold.created_at,
    hold.ended_at
FROM public.seat_reservations AS hold
ORDER BY hold.id;

INSERT INTO floor.reservation_seats
SELECT claim.*
FROM public.reservation_seats AS claim
ORDER BY claim.reservation_id;

INSERT INTO floor.seat_reservation_audit_log (
    event_type, reservation_id, show_id, session_id, seat_count, seat_ids, metadata, hold_seconds, created_at
)
SELECT
    event.event_type,
    event.reservation_id,
    event.show_id,
    event.session_id,
    event.seat_count,
    event.seat_ids,
    event.metadata,
    event.hold_seconds,
    event.created_at
FROM public.seat_reservation_audit_log AS event
ORDER BY event.id;
