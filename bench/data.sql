-- Measures nothing: what every slice starts from, by default 200,000 seats over 10 shows, in a shop that has been open for
-- a while. bench.seats and bench.shows give the sizes. Ids are numbers written as UUIDs, in the order of the seats as
-- version 7 would be, so that a pgbench script can name any seat without asking for it.
INSERT INTO public.shows (id, name, starts_at, currency, status)
SELECT
    lpad(show.number::text, 32, '0')::uuid,
    'Show ' || show.number,
    now() + interval '30 days',
    'EUR',
    'on_sale'
FROM generate_series(1, current_setting('bench.shows')::integer) AS show (number);

INSERT INTO public.show_seats (id, show_id, section, row_label, seat_number, price_in_cents)
SELECT
    lpad(seat.number::text, 32, '0')::uuid,
    lpad(
        ((seat.number - 1) / (current_setting('bench.seats')::integer / current_setting('bench.shows')::integer) + 1)
        ::text, 32, '0'
    )::uuid,
    'Section ' || (seat.number - 1) / 1000,
    ((seat.number - 1) % 1000 / 25)::text,
    ((seat.number - 1) % 25 + 1)::text,
    5000
FROM generate_series(1, current_setting('bench.seats')::integer) AS seat (number)
ORDER BY seat.number;

-- One hold to ten seats, given back yesterday, and none that is live: the statistics of a night before a sale. Plans made
-- from them must still be good when everybody comes.
WITH hold AS (
    INSERT INTO public.seat_reservations (
        id, show_id, reservation_token, session_id, status, expires_at, created_at, ended_at
    )
    SELECT
        lpad((seat.number / 10)::text, 32, '0')::uuid,
        lpad(
            (
                (seat.number - 1) / (current_setting('bench.seats')::integer / current_setting('bench.shows')::integer)
                + 1
            )::text, 32, '0'
        )::uuid,
        -- The show, and 128 random bits.
        lpad(
            (
                (seat.number - 1) / (current_setting('bench.seats')::integer / current_setting('bench.shows')::integer)
                + 1
            )::text, 32, '0'
        ) || replace(gen_random_uuid()::text, '-', ''),
        'past-' || seat.number,
        'released',
        now() - interval '1 day',
        now() - interval '1 day 10 minutes',
        now() - interval '1 day 5 minutes'
    FROM generate_series(10, current_setting('bench.seats')::integer, 10) AS seat (number)
    RETURNING
        id,
        show_id,
        ended_at
)

INSERT INTO public.reservation_seats (
    reservation_id, show_seat_id, show_id, price_in_cents, currency, released_at
)
SELECT
    hold.id,
    lpad((right(hold.id::text, 12)::bigint * 10 - seat.distance)::text, 32, '0')::uuid,
    hold.show_id,
    5000,
    'EUR',
    hold.ended_at
FROM hold
CROSS JOIN (VALUES (0), (1)) AS seat (distance);
