-- Measures nothing: what P5 starts from, apart from the day's events. 200 shows, 1,000 live holds of two seats (what is held
-- now does not grow with what has happened), a cleanup that ran every minute, and procedures that write a day of events.
INSERT INTO public.shows (id, name, starts_at, currency, status)
SELECT
    lpad(show.number::text, 32, '0')::uuid,
    'Show ' || show.number,
    now() + interval '30 days',
    (ARRAY['EUR', 'GBP', 'USD'])[show.number % 3 + 1],
    'on_sale'
FROM generate_series(1, 200) AS show (number);

-- The history of holds is its events: the orders of the day have no reservations, nor their tickets seats. What happened to
-- them is written into the logs by the procedures below.
ALTER TABLE public.seat_reservations DISABLE TRIGGER ALL;
ALTER TABLE public.ticket_orders DISABLE TRIGGER ALL;
ALTER TABLE public.tickets DISABLE TRIGGER ALL;

INSERT INTO public.show_seats (id, show_id, section, row_label, seat_number, price_in_cents)
SELECT
    lpad(seat.number::text, 32, '0')::uuid,
    lpad((seat.number / 2 % 200 + 1)::text, 32, '0')::uuid,
    'Stalls',
    (seat.number / 50)::text,
    (seat.number % 50)::text,
    5000
FROM generate_series(0, 1999) AS seat (number);

INSERT INTO public.seat_reservations (id, show_id, reservation_token, session_id, expires_at)
SELECT
    lpad(hold.number::text, 32, '0')::uuid,
    lpad((hold.number % 200 + 1)::text, 32, '0')::uuid,
    lpad((hold.number % 200 + 1)::text, 32, '0') || replace(gen_random_uuid()::text, '-', ''),
    'live-' || hold.number,
    -- Beyond the end of the measurement.
    now() + interval '1 day'
FROM generate_series(0, 999) AS hold (number);

INSERT INTO public.reservation_seats (reservation_id, show_seat_id, show_id, price_in_cents, currency)
SELECT
    lpad((seat.number / 2)::text, 32, '0')::uuid,
    lpad(seat.number::text, 32, '0')::uuid,
    lpad((seat.number / 2 % 200 + 1)::text, 32, '0')::uuid,
    5000,
    'EUR'
FROM generate_series(0, 1999) AS seat (number);

INSERT INTO public.reservation_cleanup_runs (scheduler, started_at, finished_at, status)
SELECT
    'ticketdb',
    now() - make_interval(mins => run.minutes_ago),
    now() - make_interval(mins => run.minutes_ago, secs => -1),
    'succeeded'
FROM generate_series(1440, 0, -1) AS run (minutes_ago);

-- On the first of a month the day before has a partition, too, as it has in a shop that was open then.
SELECT ticketdb.create_log_partition(logs.relation, (date_trunc('month', now() AT TIME ZONE 'UTC' - interval '1 day'))::date)
FROM ticketdb.partitioned_logs() AS logs;

-- The queries of today ask for little in the morning. Let it be past ten in the evening.
DO $body$
DECLARE
    v_hours_east constant integer := 22 - extract(HOUR FROM now() AT TIME ZONE 'UTC')::integer;
    v_zone constant text := (
        SELECT
            -- Signs are the other way round in these names.
            'Etc/GMT' || to_char(-(CASE WHEN v_hours_east > 14 THEN v_hours_east - 24 ELSE v_hours_east END), 'SGFM90')
    );
BEGIN
    UPDATE public.ticketing_settings SET business_time_zone = v_zone;
    EXECUTE format('ALTER DATABASE %I SET TimeZone = %L', current_database(), v_zone);
END;
$body$;

CREATE SCHEMA day;

-- A show by the number of a hold. A few sell better than the rest.
CREATE FUNCTION day.show_id(p_hold bigint)
RETURNS uuid
LANGUAGE sql
IMMUTABLE
AS $body$
SELECT lpad((1 + floor(200 * power((p_hold * 104729 % 1009) / 1009.0::double precision, 2)))::text, 32, '0')::uuid;
$body$;

-- Events of the holds numbered p_first, p_first + 1, …, of which p_holds begin at an even pace from p_from to p_until, in
-- the order of time: five events to two holds. How a hold ends depends on its number; those that began before p_from
-- end, and those that will end after p_until do not yet. Many small transactions, as in life, though not one an event.
CREATE PROCEDURE day.write_holds(p_first bigint, p_holds bigint, p_from timestamptz, p_until timestamptz)
LANGUAGE plpgsql
AS $body$
DECLARE
    v_each constant interval := (p_until - p_from) / p_holds;
    v_a_minute constant double precision := 60 / extract(EPOCH FROM v_each);
BEGIN
    FOR v_chunk IN 0 .. p_holds - 1 BY 100 LOOP
        INSERT INTO public.seat_reservation_audit_log (
            event_type, reservation_id, show_id, session_id, seat_count, seat_ids, error_code, error_message,
            hold_seconds, created_at
        )
        SELECT
            event.type,
            CASE WHEN event.type <> 'failed' THEN lpad(to_hex(hold.number), 32, '0')::uuid END,
            day.show_id(hold.number),
            CASE WHEN event.type = 'failed' THEN 'unlucky-' ELSE 'session-' END || hold.number,
            2,
            ARRAY[lpad((hold.number * 2)::text, 32, '0')::uuid, lpad((hold.number * 2 + 1)::text, 32, '0')::uuid],
            reason.error_code,
            ticketdb.error_message(reason.error_code),
            CASE
                WHEN event.type IN ('completed', 'expired', 'released')
                    THEN event.minutes * 60 + hold.number % 60 - 30
            END,
            p_from + v_each * beginning.number
        FROM generate_series(v_chunk, LEAST(v_chunk + 99, p_holds - 1)) AS beginning (number)
        CROSS JOIN (
            VALUES
            -- Type; how many minutes after the hold began; for which holds of a hundred.
            ('created', 0, 0, 99),
            ('failed', 0, 0, 39),
            ('released', 2, 79, 99),
            ('completed', 4, 4, 45),
            ('extended', 8, 0, 3),
            ('extended', 8, 46, 51),
            ('expired', 10, 52, 78),
            ('completed', 12, 0, 3),
            ('expired', 15, 46, 51)
        ) AS event (type, minutes, from_hundredth, to_hundredth)
        CROSS JOIN LATERAL (
            SELECT 1000000000 + p_first + beginning.number - (event.minutes * v_a_minute)::bigint AS number
        ) AS hold
        CROSS JOIN LATERAL (
            SELECT
                CASE
                    WHEN event.type <> 'failed' THEN NULL
                    WHEN hold.number % 5000 = 1 THEN 'DOUBLE_BOOKING_PREVENTED'
                    WHEN hold.number / 100 % 10 < 7 THEN 'SEATS_UNAVAILABLE'
                    ELSE
                        (
                            ARRAY[
                                'INVALID_INPUT', 'SHOW_NOT_ON_SALE', 'TOO_MANY_SEATS', 'DUPLICATE_RESERVATION',
                                'SEATS_NOT_FOUND', 'NOT_FOUND', 'PERMISSION_DENIED', 'RESERVATION_INACTIVE',
                                'RESERVATION_EXPIRED', 'MAX_EXTENSIONS_REACHED', 'INTERNAL_ERROR'
                            ]
                        )[hold.number % 11 + 1]
                END AS error_code
        ) AS reason
        WHERE hold.number * 7919 % 100 BETWEEN event.from_hundredth AND event.to_hundredth;
        COMMIT;
    END LOOP;
END;
$body$;

-- Orders of two seats, their tickets, and the lines of the log: an order is placed, and paid, failed or cancelled soon after.
CREATE PROCEDURE day.write_orders(p_first bigint, p_orders bigint, p_from timestamptz, p_until timestamptz)
LANGUAGE plpgsql
AS $body$
DECLARE
    v_each constant interval := (p_until - p_from) / p_orders;
BEGIN
    FOR v_chunk IN 0 .. p_orders - 1 BY 100 LOOP
        WITH placed AS (
            INSERT INTO public.ticket_orders (
                id, show_id, reservation_id, seat_ids, status, total_amount_in_cents, currency, payment_provider,
                created_at, paid_at
            )
            SELECT
                lpad(new.number::text, 32, '0')::uuid,
                new.show_id,
                lpad(new.number::text, 32, '0')::uuid,
                ARRAY[
                    lpad((new.number * 2)::text, 32, '0')::uuid, lpad((new.number * 2 + 1)::text, 32, '0')::uuid
                ],
                new.status,
                10000,
                show.currency,
                'stripe',
                new.created_at,
                CASE WHEN new.status IN ('paid', 'refunded') THEN new.created_at + interval '45 seconds' END
            FROM (
                SELECT
                    1000000 + p_first + beginning.number AS number,
                    day.show_id(p_first + beginning.number) AS show_id,
                    p_from + v_each * beginning.number AS created_at,
                    CASE
                        WHEN beginning.number * 7919 % 100 < 88 THEN 'paid'
                        WHEN beginning.number * 7919 % 100 < 92 THEN 'failed'
                        WHEN beginning.number * 7919 % 100 < 97 THEN 'cancelled'
                        WHEN beginning.number * 7919 % 100 < 99 THEN 'pending'
                        ELSE 'refunded'
                    END AS status
                FROM generate_series(v_chunk, LEAST(v_chunk + 99, p_orders - 1)) AS beginning (number)
            ) AS new
            INNER JOIN public.shows AS show ON show.id = new.show_id
            RETURNING *
        ),

        issued AS (
            INSERT INTO public.tickets (
                id, show_id, order_id, show_seat_id, price_in_cents, currency, ticket_code, created_at
            )
            SELECT
                seat.id,
                placed.show_id,
                placed.id,
                seat.id,
                5000,
                placed.currency,
                seat.id::text,
                placed.paid_at
            FROM placed
            CROSS JOIN LATERAL unnest(placed.seat_ids) AS seat (id)
            WHERE placed.paid_at IS NOT NULL
        )

        INSERT INTO public.ticket_order_audit_log (
            order_id, reservation_id, show_id, old_status, new_status, amount_in_cents, currency, seat_count,
            payment_provider, order_created_at, created_at
        )
        SELECT
            placed.id,
            placed.reservation_id,
            placed.show_id,
            change.old_status,
            change.new_status,
            placed.total_amount_in_cents,
            placed.currency,
            2,
            placed.payment_provider,
            placed.created_at,
            placed.created_at + change.after
        FROM placed
        CROSS JOIN LATERAL (
            VALUES
            (NULL, 'pending', interval '0'),
            (
                'pending',
                CASE placed.status WHEN 'refunded' THEN 'paid' ELSE placed.status END,
                interval '45 seconds'
            ),
            ('paid', 'refunded', interval '5 minutes')
        ) AS change (old_status, new_status, after)
        WHERE
            (change.old_status IS NULL OR change.new_status <> 'pending')
            AND (change.new_status <> 'refunded' OR placed.status = 'refunded');
        COMMIT;
    END LOOP;
END;
$body$;

-- Requests to eight endpoints. Most take a few milliseconds, some a second.
CREATE PROCEDURE day.write_requests(p_requests bigint, p_from timestamptz, p_until timestamptz)
LANGUAGE plpgsql
AS $body$
DECLARE
    v_each constant interval := (p_until - p_from) / p_requests;
BEGIN
    FOR v_chunk IN 0 .. p_requests - 1 BY 100 LOOP
        INSERT INTO public.api_request_log (endpoint, method, status_code, duration_ms, created_at)
        SELECT
            (
                ARRAY[
                    '/shows/:show/seats', '/reservations', '/reservations/:reservation/extension',
                    '/reservations/:reservation', '/orders', '/orders/:order', '/webhooks/stripe', '/tickets/:code'
                ]
            )[dice.endpoint + 1],
            CASE WHEN dice.endpoint IN (0, 5, 7) THEN 'GET' ELSE 'POST' END,
            CASE WHEN request.number % 500 = 0 THEN 503 WHEN request.number % 20 = 0 THEN 409 ELSE 200 END,
            (1 + dice.endpoint) * power(200, power(dice.luck, 3)),
            p_from + v_each * request.number
        FROM generate_series(v_chunk, LEAST(v_chunk + 99, p_requests - 1)) AS request (number)
        CROSS JOIN LATERAL (
            SELECT
                (request.number * 7919 % 101 % 8)::integer AS endpoint,
                (request.number * 104729 % 10007) / 10007.0::double precision AS luck
        ) AS dice;
        COMMIT;
    END LOOP;
END;
$body$;
