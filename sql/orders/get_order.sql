-- For the page that waits for the payment, and for the staff.
CREATE OR REPLACE FUNCTION {{ schema }}.get_order(p_show_id uuid, p_order_id uuid)
RETURNS TABLE (
    order_id uuid,
    show_id uuid,
    reservation_id uuid,
    status text,
    total_amount_in_cents bigint,
    currency text,
    refunded_amount_in_cents bigint,
    payment_provider text,
    payment_intent_id text,
    cancel_reason text,
    error_message text,
    ticket_count integer,
    created_at timestamptz,
    paid_at timestamptz
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
AS $body$
BEGIN
    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.order_details(ARRAY[p_show_id], ARRAY[p_order_id]) AS details;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_order(uuid, uuid) IS
'An order and the state of its payment; no row if the show has no such order. ticket_count is how '
'many of its tickets are valid. Amounts are in the minor unit of the currency. Raises '
'lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_order(uuid, uuid)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
