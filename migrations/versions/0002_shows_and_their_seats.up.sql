-- 0002: Shows and their seats.
-- A template, frozen by `ticketdb revision`.

-- object: shows/shows.sql sha256=427a7f9445b896970db91e5f7db41c0fa8e7d654035b3f13ca40947972df751d
-- What is sold: one performance in one hall. Written by the shop's back office.
CREATE TABLE {{ schema }}.shows (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    name text NOT NULL,
    venue text NOT NULL DEFAULT '',
    starts_at timestamptz NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    currency text NOT NULL,
    status text NOT NULL DEFAULT 'draft',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT shows_pkey PRIMARY KEY (id),
    CONSTRAINT shows_currency_fkey FOREIGN KEY (currency) REFERENCES {{ schema }}.currencies (code),
    CONSTRAINT shows_name_check CHECK (name ~ '[^[:space:]]'),
    CONSTRAINT shows_starts_at_check CHECK (isfinite(starts_at)),
    CONSTRAINT shows_time_zone_check CHECK ({{ internal_schema }}.is_time_zone(time_zone)),
    CONSTRAINT shows_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT shows_status_check CHECK (status IN ('draft', 'on_sale', 'closed', 'cancelled')),
    CONSTRAINT shows_created_at_check CHECK (isfinite(created_at))
);

CREATE INDEX shows_currency_idx ON {{ schema }}.shows (currency);

COMMENT ON TABLE {{ schema }}.shows IS
'Performances. Seats can be held while the status is on_sale.';
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
COMMENT ON COLUMN {{ schema }}.shows.created_at IS 'When the row was created.';
COMMENT ON CONSTRAINT shows_currency_fkey ON {{ schema }}.shows IS
'The currency is listed, with its number of decimals.';
COMMENT ON CONSTRAINT shows_name_check ON {{ schema }}.shows IS 'Not blank.';
COMMENT ON CONSTRAINT shows_time_zone_check
ON {{ schema }}.shows IS 'A time zone that the server knows.';
COMMENT ON CONSTRAINT shows_currency_check ON {{ schema }}.shows IS
'A currency code: three capital letters.';
COMMENT ON CONSTRAINT shows_status_check ON {{ schema }}.shows IS 'Only known statuses.';
COMMENT ON INDEX {{ schema }}.shows_currency_idx IS
'Serves the dashboards, which list the currencies in use, and the deletion of a currency.';

{% if manage_roles %}
GRANT SELECT ON TABLE {{ schema }}.shows TO {{ app_role }}, {{ monitor_role }};
{% endif %}

-- object: shows/show_seats.sql sha256=7f89990b748c88483fd38e6358a668bfaa0c9a640e49d174bec9f396c38e5c35
-- The seat plan and its present state. All functions lock seats in the order of id.
CREATE TABLE {{ schema }}.show_seats (
    id uuid NOT NULL DEFAULT {{ internal_schema }}.uuid_v7(),
    show_id uuid NOT NULL,
    section text NOT NULL,
    row_label text NOT NULL,
    seat_number text NOT NULL,
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

COMMENT ON TABLE {{ schema }}.show_seats IS
'Seats of a show with price and present state. A reserved seat whose hold is over can be taken.';
COMMENT ON COLUMN {{ schema }}.show_seats.id IS 'Key, together with show_id.';
COMMENT ON COLUMN {{ schema }}.show_seats.show_id IS 'The show; part of every key.';
COMMENT ON COLUMN {{ schema }}.show_seats.section IS 'Part of the hall, as printed on the ticket.';
COMMENT ON COLUMN {{ schema }}.show_seats.row_label IS 'Row within the section.';
COMMENT ON COLUMN {{ schema }}.show_seats.seat_number IS 'Seat within the row.';
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

{% if manage_roles %}
GRANT SELECT (id, show_id, section, row_label, seat_number, status, reserved_until, price_in_cents)
ON TABLE {{ schema }}.show_seats TO {{ app_role }};
GRANT SELECT ON TABLE {{ schema }}.show_seats TO {{ monitor_role }};
{% endif %}

-- privileges
SELECT {{ internal_schema }}.revoke_default_privileges();
