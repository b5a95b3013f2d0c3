-- For the page of the basket, and after a lost answer.
CREATE OR REPLACE FUNCTION {{ schema }}.get_reservation(
    p_reservation_token text,
    p_session_id text
)
RETURNS TABLE (
    reservation_id uuid,
    reservation_token text,
    show_id uuid,
    session_id text,
    status text,
    expires_at timestamptz,
    extensions_remaining integer,
    seat_ids uuid[],
    prices_in_cents bigint[],
    ticket_types text[],
    total_amount_in_cents bigint,
    currency text,
    order_id uuid,
    order_status text
)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
ROWS 1
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_show_id constant uuid := CASE
        WHEN length(p_reservation_token) = 64
            AND translate(p_reservation_token, '0123456789abcdef', '') = ''
            THEN left(p_reservation_token, 32)::uuid
    END;
    v_id uuid;
BEGIN
    SELECT hold.id
    INTO v_id
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.reservation_token = p_reservation_token
        AND hold.show_id = v_show_id
        AND hold.session_id = p_session_id;

    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.reservation_details(ARRAY[v_show_id], ARRAY[v_id]) AS details;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_reservation(text, text) IS
'The reservation with this token, if it is of this session; no row if there is none. status is '
'active, completed, released or expired, which includes overdue ones. Seats, their prices and '
'types of tickets are in the same order, and empty unless it is active or completed. The order is '
'the one that is pending or paid, or else the last one. Amounts are in the minor unit of the '
'currency. Raises lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_reservation(text, text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
