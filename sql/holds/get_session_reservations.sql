-- For the second tab, which has no token.
CREATE OR REPLACE FUNCTION {{ schema }}.get_session_reservations(p_session_id text)
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
ROWS 10
SET search_path = pg_catalog, pg_temp
-- The caller's own setting does not apply.
SET lock_timeout = '2s'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_show_ids uuid[];
    v_ids uuid[];
BEGIN
    SELECT
        array_agg(hold.show_id),
        array_agg(hold.id)
    INTO
        v_show_ids,
        v_ids
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.session_id = p_session_id
        AND hold.status = 'active';

    RETURN QUERY
    SELECT details.*
    FROM {{ internal_schema }}.reservation_details(v_show_ids, v_ids) AS details
    WHERE details.status = 'active';
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.get_session_reservations(text) IS
'The live holds of a session in all shows, oldest first, as get_reservation() returns them. '
'Raises lock_not_available if a table is locked for 2 s.';

{% if manage_roles %}
GRANT EXECUTE ON FUNCTION {{ schema }}.get_session_reservations(text)
TO {{ app_role }}, {{ box_office_role }};
{% endif %}
