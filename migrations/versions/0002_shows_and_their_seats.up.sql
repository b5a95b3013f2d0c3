-- 0002: Shows and their seats.
-- A template, frozen by `ticketdb revision`.

-- object: shows/shows.sql sha256=4bc804ec3777b9359c3cad6572d40b39f63dc565827580a022fdc15a70525a73
-- What is sold: one performance in one hall. Written by the box office.
CREATE TABLE {{ schema }}.shows (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    name text NOT NULL,
    venue text NOT NULL DEFAULT '',
    starts_at timestamptz NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    currency text NOT NULL,
    status text NOT NULL DEFAULT 'draft',
    sales_start_at timestamptz,
    sales_end_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT shows_pkey PRIMARY KEY (id),
    CONSTRAINT shows_currency_fkey FOREIGN KEY (currency) REFERENCES {{ schema }}.currencies (code),
    CONSTRAINT shows_name_check CHECK (name ~ '[^[:space:]]'),
    CONSTRAINT shows_starts_at_check CHECK (isfinite(starts_at)),
    CONSTRAINT shows_time_zone_check CHECK ({{ internal_schema }}.is_time_zone(time_zone)),
    CONSTRAINT shows_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT shows_status_check CHECK (status IN ('draft', 'on_sale', 'closed', 'cancelled')),
    CONSTRAINT shows_sales_end_at_check CHECK (
        sales_end_at > sales_start_at AND isfinite(sales_start_at) AND isfinite(sales_end_at)
    ),
    CONSTRAINT shows_created_at_check CHECK (isfinite(created_at))
);

CREATE INDEX shows_currency_idx ON {{ schema }}.shows (currency);

COMMENT ON TABLE {{ schema }}.shows IS
'Performances. Seats can be held while the status is on_sale, from sales_start_at until '
'sales_end_at.';
COMMENT ON COLUMN {{ schema }}.shows.id IS
'Key; the show_id of everything that belongs to the show.';
COMMENT ON COLUMN {{ schema }}.shows.name IS 'Title, as printed on the ticket.';
COMMENT ON COLUMN {{ schema }}.shows.venue IS 'Where it takes place.';
COMMENT ON COLUMN {{ schema }}.shows.starts_at IS 'When it begins.';
COMMENT ON COLUMN {{ schema }}.shows.time_zone IS 'IANA time zone of the venue.';
COMMENT ON COLUMN {{ schema }}.shows.currency IS
'ISO 4217 code of all prices of this show, which are in its minor unit.';
COMMENT ON COLUMN {{ schema }}.shows.status IS
'draft: being set up; on_sale: seats can be held; closed: no new holds, those that exist can '
'still be paid; cancelled: nothing is sold any more, payments that arrive become refund_due.';
COMMENT ON COLUMN {{ schema }}.shows.sales_start_at IS
'When seats can be held for the first time; NULL: as soon as the status is on_sale.';
COMMENT ON COLUMN {{ schema }}.shows.sales_end_at IS
'From when on no more seats can be held; NULL: while the status is on_sale. Holds that exist then '
'can still be paid.';
COMMENT ON COLUMN {{ schema }}.shows.created_at IS 'When the row was created.';
COMMENT ON CONSTRAINT shows_currency_fkey ON {{ schema }}.shows IS
'The currency is listed, with its number of decimals.';
COMMENT ON CONSTRAINT shows_name_check ON {{ schema }}.shows IS 'Not blank.';
COMMENT ON CONSTRAINT shows_time_zone_check
ON {{ schema }}.shows IS 'A time zone that the server knows.';
COMMENT ON CONSTRAINT shows_currency_check ON {{ schema }}.shows IS
'A currency code: three capital letters.';
COMMENT ON CONSTRAINT shows_status_check ON {{ schema }}.shows IS 'Only known statuses.';
COMMENT ON CONSTRAINT shows_sales_end_at_check ON {{ schema }}.shows IS
'Sales end after they start; a bound that is infinite is NULL instead.';
COMMENT ON INDEX {{ schema }}.shows_currency_idx IS
'Serves the dashboards, which list the currencies in use, and the deletion of a currency.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.shows
TO {{ app_role }}, {{ box_office_role }}, {{ monitor_role }};
GRANT INSERT, UPDATE ON TABLE {{ schema }}.shows TO {{ box_office_role }};
{% endif %}

-- object: shows/show_seats.sql sha256=a424d53b89c3ea69a6258c1854517b21e19b7a6fcf13cf32c311fa5a026ae876
-- The seat plan and its present state. All functions lock seats in the order of id.
CREATE TABLE {{ schema }}.show_seats (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    section text NOT NULL,
    row_label text NOT NULL,
    seat_number text NOT NULL,
    row_position integer,
    seat_position integer,
    status text NOT NULL DEFAULT 'available',
    reserved_by uuid,
    reserved_until timestamptz,
    price_in_cents bigint NOT NULL,
    CONSTRAINT show_seats_pkey PRIMARY KEY (id, show_id),
    CONSTRAINT show_seats_show_id_section_row_label_seat_number_key
    UNIQUE (show_id, section, row_label, seat_number),
    CONSTRAINT show_seats_show_id_fkey FOREIGN KEY (show_id) REFERENCES {{ schema }}.shows (id),
    CONSTRAINT show_seats_status_check
    CHECK (status IN ('available', 'reserved', 'sold', 'blocked')),
    CONSTRAINT show_seats_reserved_by_check CHECK (
        (status = 'reserved') = (reserved_by IS NOT NULL)
        AND (status = 'reserved') = (reserved_until IS NOT NULL)
    ),
    CONSTRAINT show_seats_reserved_until_check CHECK (isfinite(reserved_until)),
    CONSTRAINT show_seats_price_in_cents_check CHECK (price_in_cents BETWEEN 0 AND 100000000000)
)
-- A seat changes state several times within minutes. No index covers a column that changes, so with
-- room on its page each change is a heap-only update and the table does not bloat.
WITH (fillfactor = 70);

CREATE INDEX show_seats_show_id_section_row_position_seat_position_idx
ON {{ schema }}.show_seats (show_id, section, row_position, seat_position);

COMMENT ON TABLE {{ schema }}.show_seats IS
'Seats of a show with price and present state. A reserved seat whose hold is over can be taken.';
COMMENT ON COLUMN {{ schema }}.show_seats.id IS 'Key, together with show_id.';
COMMENT ON COLUMN {{ schema }}.show_seats.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.show_seats.section IS 'Part of the hall, as printed on the ticket.';
COMMENT ON COLUMN {{ schema }}.show_seats.row_label IS 'Row within the section.';
COMMENT ON COLUMN {{ schema }}.show_seats.seat_number IS 'Seat within the row.';
COMMENT ON COLUMN {{ schema }}.show_seats.row_position IS
'Order of the rows of the section, as people walk past them: 1 is the nearest to the stage. '
'Filled from the labels in natural order, 2 before 10, if the insert gives none.';
COMMENT ON COLUMN {{ schema }}.show_seats.seat_position IS
'Order of the seats of the row: two seats are neighbours if their positions differ by 1, so a gap '
'stands for an aisle. Filled from the numbers in natural order if the insert gives none.';
COMMENT ON COLUMN {{ schema }}.show_seats.status IS
'available, reserved (held by reserved_by), sold, or blocked by the house.';
COMMENT ON COLUMN {{ schema }}.show_seats.reserved_by IS
'The id of the reservation that holds the seat; set exactly while the status is reserved.';
COMMENT ON COLUMN {{ schema }}.show_seats.reserved_until IS
'When the hold is over: a copy of seat_reservations.expires_at, kept equal by a trigger.';
COMMENT ON COLUMN {{ schema }}.show_seats.price_in_cents IS
'Price in the minor unit of the currency of the show, see currencies.';
COMMENT ON CONSTRAINT show_seats_pkey ON {{ schema }}.show_seats IS
'Starts with id, which serves look-ups by id alone; show_id excludes references across shows.';
COMMENT ON CONSTRAINT show_seats_show_id_section_row_label_seat_number_key
ON {{ schema }}.show_seats IS 'Each seat is listed once. Also serves the seat map of a show.';
COMMENT ON CONSTRAINT show_seats_show_id_fkey ON {{ schema }}.show_seats IS 'The show exists.';
COMMENT ON CONSTRAINT show_seats_status_check
ON {{ schema }}.show_seats IS 'Only known statuses.';
COMMENT ON CONSTRAINT show_seats_reserved_by_check ON {{ schema }}.show_seats IS
'reserved_by and reserved_until are set exactly while the status is reserved.';
COMMENT ON CONSTRAINT show_seats_price_in_cents_check ON {{ schema }}.show_seats IS
'From 0 to a billion units of a currency with two decimals.';
COMMENT ON INDEX {{ schema }}.show_seats_show_id_section_row_position_seat_position_idx IS
'Serves the seat map, and the search for the best seats from the front on.';

{% if manage_roles %}
GRANT SELECT (
    id, show_id, section, row_label, seat_number, row_position, seat_position, status,
    reserved_until, price_in_cents
) ON TABLE {{ schema }}.show_seats TO {{ app_role }}, {{ box_office_role }};
-- Never the state of a seat, which only functions change.
GRANT INSERT (
    id, show_id, section, row_label, seat_number, row_position, seat_position, price_in_cents
) ON TABLE {{ schema }}.show_seats TO {{ box_office_role }};
GRANT UPDATE (
    section, row_label, seat_number, row_position, seat_position, price_in_cents
) ON TABLE {{ schema }}.show_seats TO {{ box_office_role }};
GRANT SELECT ON TABLE {{ schema }}.show_seats TO {{ monitor_role }};
{% endif %}

-- object: shows/natural_sort_key.sql sha256=b3995c4956e3b57cb5fb41b9d93e95226ed59d366220d0525ad4136e8d4a6614
-- For place_seats(). Not a collation: builds of PostgreSQL without ICU have none that compares
-- digits as numbers.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.natural_sort_key(p_label text)
RETURNS text
LANGUAGE sql
IMMUTABLE
STRICT
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    CASE
        -- Rows A to Z and then AA, as halls count.
        WHEN p_label ~ '^[A-Za-z]{1,2}$' THEN lpad(upper(p_label), 2)
        ELSE (
            SELECT
                string_agg(
                    CASE
                        -- The length first: of two numbers the longer one is the greater.
                        WHEN part.text ~ '^[0-9]'
                            THEN to_char(length(number.digits), 'FM0000') || number.digits
                        ELSE upper(part.text)
                    END,
                    '' ORDER BY part.place
                )
            FROM regexp_matches(p_label, '[0-9]+|[^0-9]+', 'g')
                WITH ORDINALITY AS parts (found, place)
            CROSS JOIN LATERAL (SELECT parts.found[1], parts.place) AS part (text, place)
            CROSS JOIN LATERAL (SELECT ltrim(part.text, '0')) AS number (digits)
        )
    END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.natural_sort_key(text) IS
'A text by which labels of rows and numbers of seats sort in natural order, with COLLATE "C": 2 '
'before 10, Z before AA.';

-- object: shows/place_seats.sql sha256=a5e15deacca20e182a63ce9481195092507d340cac71921aa1614c0283a76621
-- Trigger function: fills the positions that an insert of seats has not given. What the shop gave
-- stays. Positions that were filled before are counted anew, so that the order in which seats are
-- inserted does not matter; in a row, or a section, whose positions the shop gave, the new ones
-- come last.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.place_seats()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Not a change by hand, see log_change().
SET commit_siblings = 997
SET plan_cache_mode = 'force_generic_plan'
-- Whatever the statistics are: a section is read by its index, and thousands of seats are not
-- compared with thousands.
SET enable_seqscan = off
SET enable_nestloop = off
AS $body$
DECLARE
    v_part record;
BEGIN
    FOR v_part IN
        SELECT
            new_seats.show_id,
            new_seats.section,
            array_agg(DISTINCT new_seats.row_label) AS row_labels
        FROM new_seats
        WHERE new_seats.row_position IS NULL OR new_seats.seat_position IS NULL
        GROUP BY
            new_seats.show_id,
            new_seats.section
    LOOP
        WITH seats AS MATERIALIZED (
            SELECT
                seat.id,
                seat.row_label,
                seat.seat_number,
                seat.row_position,
                seat.seat_position
            FROM {{ schema }}.show_seats AS seat
            WHERE
                seat.show_id = v_part.show_id
                AND seat.section = v_part.section
        ),

        section_rows AS (
            SELECT
                seats.row_label,
                {{ internal_schema }}.natural_sort_key(seats.row_label) COLLATE "C" AS sort_key,
                min(seats.row_position) AS given,
                COALESCE(min(seats.row_position) = max(seats.row_position), true) AS is_straight
            FROM seats
            GROUP BY seats.row_label
        ),

        counted_rows AS (
            SELECT
                section_rows.*,
                row_number() OVER (
                    ORDER BY section_rows.sort_key, section_rows.row_label
                ) AS nth,
                row_number() OVER (
                    PARTITION BY section_rows.given IS NULL
                    ORDER BY section_rows.sort_key, section_rows.row_label
                ) AS nth_of_kind,
                max(section_rows.given) OVER () AS last_given
            FROM section_rows
        ),

        placed_rows AS (
            SELECT
                counted_rows.*,
                -- Those that have a position have the one that was filled in before.
                bool_and(
                    counted_rows.is_straight
                    AND COALESCE(counted_rows.given = counted_rows.nth_of_kind, true)
                ) OVER () AS are_counted
            FROM counted_rows
        ),

        row_seats AS (
            SELECT
                seats.id,
                seats.row_label,
                seats.seat_number,
                seats.seat_position AS given,
                {{ internal_schema }}.natural_sort_key(seats.seat_number) COLLATE "C" AS sort_key
            FROM seats
            INNER JOIN unnest(v_part.row_labels) AS touched (row_label)
                ON touched.row_label = seats.row_label
        ),

        counted_seats AS (
            SELECT
                row_seats.*,
                row_number() OVER (
                    PARTITION BY row_seats.row_label
                    ORDER BY row_seats.sort_key, row_seats.seat_number
                ) AS nth,
                row_number() OVER (
                    PARTITION BY row_seats.row_label, row_seats.given IS NULL
                    ORDER BY row_seats.sort_key, row_seats.seat_number
                ) AS nth_of_kind,
                max(row_seats.given) OVER (PARTITION BY row_seats.row_label) AS last_given
            FROM row_seats
        ),

        placed_seats AS (
            SELECT
                counted_seats.*,
                bool_and(COALESCE(counted_seats.given = counted_seats.nth_of_kind, true)) OVER (
                    PARTITION BY counted_seats.row_label
                ) AS are_counted
            FROM counted_seats
        ),

        placed AS (
            SELECT
                seats.id,
                CASE
                    WHEN placed_rows.are_counted THEN placed_rows.nth
                    ELSE
                        COALESCE(
                            seats.row_position,
                            placed_rows.given,
                            placed_rows.last_given + placed_rows.nth_of_kind
                        )
                END AS row_position,
                CASE
                    WHEN placed_seats.are_counted THEN placed_seats.nth
                    ELSE
                        COALESCE(
                            seats.seat_position,
                            placed_seats.last_given + placed_seats.nth_of_kind
                        )
                END AS seat_position
            FROM seats
            INNER JOIN placed_rows ON placed_rows.row_label = seats.row_label
            LEFT JOIN placed_seats ON placed_seats.id = seats.id
        )

        UPDATE {{ schema }}.show_seats
        SET
            row_position = placed.row_position,
            seat_position = placed.seat_position
        FROM placed
        WHERE
            show_seats.show_id = v_part.show_id
            AND show_seats.section = v_part.section
            AND show_seats.id = placed.id
            AND (show_seats.row_position, show_seats.seat_position)
            IS DISTINCT FROM (placed.row_position, placed.seat_position);
    END LOOP;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.place_seats() IS
'Trigger function: fills row_position and seat_position of new seats in the natural order of their '
'labels.';

-- object: shows/show_seats_place_seats.sql sha256=abc904d2da5c223c6150985f8f306fbc11ca9e38a555c32b4818ed577dd80461
-- A statement at a time: the order is that of all seats of a row. ENABLE ALWAYS, so that
-- session_replication_role = replica does not disable it; seats that are replicated have positions.
CREATE OR REPLACE TRIGGER show_seats_place_seats
AFTER INSERT ON {{ schema }}.show_seats
REFERENCING NEW TABLE AS new_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ internal_schema }}.place_seats();

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_place_seats;

COMMENT ON TRIGGER show_seats_place_seats ON {{ schema }}.show_seats IS
'Fills positions of rows and seats that the insert has not given.';

-- object: shows/get_seat_map.sql sha256=33c49e41775d25da0ee61a47dd12834887c0bbb66e6fe87339d466a8b9aa655e
-- What the shop draws: all seats of a show, or those that have changed since an earlier answer. A
-- seat has changed if a transaction wrote its row that the earlier answer may not have seen, which
-- the row shows by itself, or if its hold is over, for which nothing is written. So a sale does
-- nothing for those who poll.
CREATE OR REPLACE FUNCTION {{ schema }}.get_seat_map(
    p_show_id uuid,
    p_since bigint DEFAULT NULL
)
RETURNS TABLE (
    seat_id uuid,
    section text,
    row_label text,
    seat_number text,
    row_position integer,
    seat_position integer,
    state text,
    price_in_cents bigint,
    currency text,
    version bigint
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
-- From the index in its order, whatever the statistics are, and without compiling that for 80,000
-- seats.
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_sort = off
SET enable_incremental_sort = off
SET jit = off
AS $body$
DECLARE
    -- Of int4: age() of a transaction so old that it has none.
    v_ever constant integer := 2147483647;
    v_now constant timestamptz := clock_timestamp();
    v_snapshot constant pg_snapshot := pg_current_snapshot();
    v_last constant bigint := pg_snapshot_xmax(v_snapshot)::text::bigint;
    v_age integer;
    v_show record;
BEGIN
    -- All transactions before this one had ended when the earlier answer was given. Rows have its
    -- last 32 bits only, which age() compares as far back as 2^31.
    v_age := CASE
        WHEN p_since BETWEEN v_last - 1000000000 AND v_last THEN age(p_since::text::xid8::xid)
        ELSE v_ever
    END;
    SELECT
        show.currency,
        CASE WHEN age(show.xmin) <= v_age THEN v_ever ELSE v_age END AS age
    INTO v_show
    FROM {{ schema }}.shows AS show
    WHERE show.id = p_show_id;

    RETURN QUERY
    SELECT
        seat.id,
        seat.section,
        seat.row_label,
        seat.seat_number,
        seat.row_position,
        seat.seat_position,
        CASE
            WHEN seat.status <> 'reserved' THEN seat.status
            WHEN seat.reserved_until > v_now THEN 'held'
            ELSE 'available'
        END,
        seat.price_in_cents,
        v_show.currency,
        pg_snapshot_xmin(v_snapshot)::text::bigint
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = p_show_id
        AND (age(seat.xmin) <= v_show.age OR seat.reserved_until <= v_now)
    ORDER BY
        seat.section,
        seat.row_position,
        seat.seat_position;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_seat_map(uuid, bigint) IS
'The seats of a show in the order of their places, each available, held, sold or blocked; a hold '
'that is over counts as available. Prices are in the minor unit of the currency. With p_since, the '
'version of an earlier answer for this show: only those that may have changed since, with another '
'version, and no rows if nothing has; while a transaction is open anywhere on the server, also '
'those that have changed since it began; all of them if the show has changed, or the version is '
'not one of this server. Drop an answer that one with a higher version has overtaken; read all '
'after a restore, and after seats were deleted. Raises lock_not_available if the table is locked '
'for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_seat_map(uuid, bigint)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}

-- object: shows/get_seat_map_at.sql sha256=cad2d3c5d3819541f91153cdad1907ed711777cbc4a761e3fd36fbb912c66387
-- For disputes: begins with the present state, and undoes for each seat what happened to it first
-- after the moment. What a seat was before an event follows from the kind of the event.
CREATE OR REPLACE FUNCTION {{ schema }}.get_seat_map_at(p_show_id uuid, p_at timestamptz)
RETURNS TABLE (
    seat_id uuid,
    section text,
    row_label text,
    seat_number text,
    row_position integer,
    seat_position integer,
    state text,
    reservation_id uuid,
    order_id uuid
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
-- Without a look at statistics: the logs are read from the moment on by their index of time, whole
-- lists are joined by hash, and rows of large tables are fetched by key, one by one.
SET enable_seqscan = off
SET enable_nestloop = off
SET enable_mergejoin = off
SET jit = off
AS $body$
BEGIN
    IF p_at IS NULL
        OR p_at < {{ internal_schema }}.log_beginning(
            ARRAY['seat_reservation_audit_log', 'change_log']
        )
    THEN
        RETURN;
    END IF;

    RETURN QUERY
    WITH events AS (
        SELECT
            event.id,
            event.xact_id,
            event.created_at,
            event.event_type,
            event.reservation_id,
            seat.id AS seat_id,
            seat.list,
            CASE
                WHEN seat.list = 1 OR event.event_type = 'refunded' THEN 'sold'
                WHEN seat.list = 2 OR event.event_type = 'unblocked' THEN 'blocked'
                WHEN event.event_type IN ('released', 'expired') THEN 'reserved'
                -- Late: the hold had ended, and took free seats again.
                WHEN event.event_type = 'completed' AND NOT event.metadata ? 'late' THEN 'reserved'
                ELSE 'available'
            END AS status
        FROM {{ schema }}.seat_reservation_audit_log AS event
        CROSS JOIN LATERAL (
            SELECT
                left_seat.id::uuid AS id,
                1 AS list
            FROM jsonb_array_elements_text(event.metadata -> 'from_seat_ids') AS left_seat (id)
            UNION ALL
            SELECT
                blocked_seat.id::uuid,
                2
            FROM jsonb_array_elements_text(event.metadata -> 'blocked_seat_ids')
                AS blocked_seat (id)
            -- Of refunded ones it says what they became.
            WHERE event.event_type IN ('issued', 'moved')
            UNION ALL
            SELECT
                named_seat.id,
                3
            FROM unnest(event.seat_ids) AS named_seat (id)
        ) AS seat
        WHERE
            event.show_id = p_show_id
            AND event.created_at > p_at
            AND event.event_type NOT IN (
                'failed', 'extended', 'priced', 'transferred', 'checked_in'
            )
    ),

    in_order AS (
        SELECT
            events.*,
            row_number() OVER by_seat AS nth,
            lead(events.reservation_id) OVER by_seat AS next_reservation_id,
            lead(events.list) OVER by_seat AS next_list,
            lead(events.xact_id) OVER by_seat AS next_xact_id
        FROM events
        WINDOW by_seat AS (PARTITION BY events.seat_id ORDER BY events.id, events.list)
    ),

    undone AS (
        SELECT
            first_event.seat_id,
            first_event.created_at,
            1 AS log,
            CASE WHEN first_event.is_swapped THEN 'sold' ELSE first_event.status END AS status,
            CASE
                WHEN first_event.is_swapped THEN first_event.next_reservation_id
                ELSE first_event.reservation_id
            END AS reservation_id
        FROM (
            SELECT
                in_order.*,
                -- One call has moved a ticket of another reservation away from the seat: each
                -- reservation has a line of its own, in any order.
                COALESCE(
                    in_order.event_type = 'moved'
                    AND in_order.next_list = 1
                    AND in_order.next_xact_id = in_order.xact_id
                    AND in_order.next_reservation_id <> in_order.reservation_id,
                    false
                ) AS is_swapped
            FROM in_order
            WHERE in_order.nth = 1
        ) AS first_event
        UNION ALL
        (
            SELECT DISTINCT ON (change.row_key ->> 'id')
                (change.row_key ->> 'id')::uuid,
                change.created_at,
                2,
                -- Old values are those of the columns that have changed.
                COALESCE(change.old_values ->> 'status', 'reserved'),
                (change.old_values ->> 'reserved_by')::uuid
            FROM {{ internal_schema }}.change_log AS change
            WHERE
                change.created_at > p_at
                AND change.table_name = 'show_seats'
                AND change.row_key ->> 'show_id' = p_show_id::text
                AND change.old_values ?| ARRAY['status', 'reserved_by']
                AND change.operation = 'update'
            ORDER BY
                change.row_key ->> 'id',
                change.id
        )
    ),

    first_undone AS (
        SELECT DISTINCT ON (undone.seat_id) undone.*
        FROM undone
        ORDER BY
            undone.seat_id,
            undone.created_at,
            undone.log
    ),

    -- The end of a hold that was moved by hand since: functions only move it while it has not come.
    moved_ends AS (
        SELECT DISTINCT ON (change.row_key ->> 'id')
            (change.row_key ->> 'id')::uuid AS reservation_id,
            (change.old_values ->> 'expires_at')::timestamptz AS expires_at
        FROM {{ internal_schema }}.change_log AS change
        WHERE
            change.created_at > p_at
            AND change.table_name = 'seat_reservations'
            AND change.row_key ->> 'show_id' = p_show_id::text
            AND change.old_values ? 'expires_at'
        ORDER BY
            change.row_key ->> 'id',
            change.id
    ),

    seats AS (
        SELECT
            seat.id,
            seat.section,
            seat.row_label,
            seat.seat_number,
            seat.row_position,
            seat.seat_position,
            COALESCE(first_undone.status, seat.status) AS status,
            CASE
                WHEN first_undone.status IS NULL
                    THEN COALESCE(seat.reserved_by, present_claim.reservation_id)
                ELSE COALESCE(first_undone.reservation_id, past_claim.reservation_id)
            END AS reservation_id
        FROM {{ schema }}.show_seats AS seat
        LEFT JOIN first_undone ON first_undone.seat_id = seat.id
        LEFT JOIN LATERAL (
            SELECT claim.reservation_id
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                first_undone.status IS NULL
                AND seat.status = 'sold'
                AND claim.show_id = p_show_id
                AND claim.show_seat_id = seat.id
                AND claim.released_at IS NULL
            LIMIT 1
        ) AS present_claim ON true
        -- A sale that was undone by hand: the change of the seat does not name the buyer.
        LEFT JOIN LATERAL (
            SELECT claim.reservation_id
            FROM {{ schema }}.reservation_seats AS claim
            WHERE
                first_undone.status = 'sold'
                AND first_undone.reservation_id IS NULL
                AND claim.show_id = p_show_id
                AND claim.show_seat_id = seat.id
                AND COALESCE(claim.released_at, 'infinity') > p_at
                AND (
                    SELECT buyer.status
                    FROM {{ schema }}.seat_reservations AS buyer
                    WHERE
                        buyer.show_id = p_show_id
                        AND buyer.id = claim.reservation_id
                ) = 'completed'
            ORDER BY claim.released_at
            LIMIT 1
        ) AS past_claim ON true
        WHERE seat.show_id = p_show_id
    )

    SELECT
        seats.id,
        seats.section,
        seats.row_label,
        seats.seat_number,
        seats.row_position,
        seats.seat_position,
        CASE
            WHEN seats.status <> 'reserved' THEN seats.status
            WHEN hold.is_live THEN 'held'
            ELSE 'available'
        END,
        CASE WHEN seats.status = 'sold' OR hold.is_live THEN seats.reservation_id END,
        sale.order_id
    FROM seats
    LEFT JOIN moved_ends ON moved_ends.reservation_id = seats.reservation_id
    LEFT JOIN LATERAL (
        SELECT COALESCE(moved_ends.expires_at, held.expires_at) > p_at AS is_live
        FROM {{ schema }}.seat_reservations AS held
        WHERE
            seats.status = 'reserved'
            AND held.show_id = p_show_id
            AND held.id = seats.reservation_id
        LIMIT 1
    ) AS hold ON true
    LEFT JOIN LATERAL (
        -- A late payment for another order of the hold has bought no tickets.
        SELECT paid.id AS order_id
        FROM {{ schema }}.ticket_orders AS paid
        WHERE
            seats.status = 'sold'
            AND paid.show_id = p_show_id
            AND paid.reservation_id = seats.reservation_id
            AND (
                SELECT count(*)
                FROM {{ schema }}.tickets AS ticket
                WHERE
                    ticket.order_id = paid.id
                    AND ticket.show_id = p_show_id
            ) > 0
        LIMIT 1
    ) AS sale ON true
    ORDER BY
        seats.section,
        seats.row_position,
        seats.seat_position;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_seat_map_at(uuid, timestamptz) IS
'Which seat was whose at a moment: its state, the reservation that held or bought it, and the '
'order that paid for it. Computed from the present state and the logs: no rows for a moment before '
'their oldest partition. What a transaction did counts from its start. Lists the seats that exist '
'now, in the order of their present places. Raises lock_not_available if a table is locked for 2 '
's.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_seat_map_at(uuid, timestamptz) TO {{ box_office_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
