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
