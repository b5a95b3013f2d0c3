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
