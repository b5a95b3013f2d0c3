-- Measures nothing: what P4 starts from. Beside the seats on sale another two for each hold that is over, and those holds:
-- they ended some minutes ago, in an order that has nothing to do with shows or seats. Their number is bench.over_holds.
INSERT INTO public.show_seats (id, show_id, section, row_label, seat_number, price_in_cents)
SELECT
    lpad((1000000 + seat.number)::text, 32, '0')::uuid,
    lpad((seat.number / 2 % current_setting('bench.shows')::integer + 1)::text, 32, '0')::uuid,
    'Balcony ' || seat.number / 1000,
    (seat.number % 1000 / 25)::text,
    (seat.number % 25 + 1)::text,
    5000
FROM generate_series(0, current_setting('bench.over_holds')::integer * 2 - 1) AS seat (number)
ORDER BY seat.number;

-- One statement, so that the audit trigger sees the claims, as it does in reserve_seats.
WITH hold AS (
    INSERT INTO public.seat_reservations (
        id, show_id, reservation_token, session_id, expires_at, created_at
    )
    SELECT
        lpad((1000000 + hold.number)::text, 32, '0')::uuid,
        lpad((hold.number % current_setting('bench.shows')::integer + 1)::text, 32, '0')::uuid,
        lpad((hold.number % current_setting('bench.shows')::integer + 1)::text, 32, '0')
        || replace(gen_random_uuid()::text, '-', ''),
        'over-' || hold.number,
        now() - interval '5 minutes' - make_interval(secs => hold.number * 7919 % 100000 / 1000.0),
        now() - interval '15 minutes' - make_interval(secs => hold.number * 7919 % 100000 / 1000.0)
    FROM generate_series(0, current_setting('bench.over_holds')::integer - 1) AS hold (number)
    RETURNING
        id,
        show_id,
        expires_at
),

claim AS (
    INSERT INTO public.reservation_seats (
        reservation_id, show_seat_id, show_id, price_in_cents, currency
    )
    SELECT
        hold.id,
        lpad((1000000 + (right(hold.id::text, 12)::bigint - 1000000) * 2 + seat.distance)::text, 32, '0')::uuid,
        hold.show_id,
        5000,
        'EUR'
    FROM hold
    CROSS JOIN (VALUES (0), (1)) AS seat (distance)
    RETURNING
        show_seat_id,
        show_id,
        reservation_id
)

UPDATE public.show_seats
SET
    status = 'reserved',
    reserved_by = hold.id,
    reserved_until = hold.expires_at
FROM claim
INNER JOIN hold ON hold.id = claim.reservation_id
WHERE
    show_seats.id = claim.show_seat_id
    AND show_seats.show_id = claim.show_id;
