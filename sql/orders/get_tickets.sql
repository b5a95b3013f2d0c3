-- What the shop sends to the buyer. The codes admit: for the order's own buyer, and the staff.
CREATE OR REPLACE FUNCTION {{ schema }}.get_tickets(p_show_id uuid, p_order_id uuid)
RETURNS TABLE (
    ticket_id uuid,
    ticket_code text,
    section text,
    row_label text,
    seat_number text,
    ticket_type text,
    price_in_cents bigint,
    currency text,
    status text,
    checked_in_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 10
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
-- The tickets by their order, and each seat by its key.
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $body$
BEGIN
    RETURN QUERY
    SELECT
        ticket.id,
        ticket.ticket_code,
        seat.section,
        seat.row_label,
        seat.seat_number,
        ticket.ticket_type::text,
        ticket.price_in_cents,
        ticket.currency,
        ticket.status,
        ticket.checked_in_at
    FROM {{ schema }}.tickets AS ticket
    INNER JOIN {{ schema }}.show_seats AS seat
        ON seat.show_id = ticket.show_id AND seat.id = ticket.show_seat_id
    WHERE
        ticket.order_id = p_order_id
        AND ticket.show_id = p_show_id
    ORDER BY
        seat.section,
        seat.row_position,
        seat.seat_position,
        ticket.id;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_tickets(uuid, uuid) IS
'The tickets of an order in the order of their places, those that were taken back included: see '
'status. Amounts are in the minor unit of the currency. Raises lock_not_available if a table is '
'locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_tickets(uuid, uuid)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
