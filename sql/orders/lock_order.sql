-- The first step of every call about an order. All functions lock the reservation, then its order,
-- then seats.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_order(p_show_id uuid, p_order_id uuid)
RETURNS {{ schema }}.ticket_orders
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_order {{ schema }}.ticket_orders;
BEGIN
    -- An order never changes its reservation, so this look-up needs no lock.
    PERFORM
    FROM {{ schema }}.seat_reservations AS hold
    WHERE
        hold.show_id = p_show_id
        AND hold.id = (
            SELECT found.reservation_id
            FROM {{ schema }}.ticket_orders AS found
            WHERE
                found.show_id = p_show_id
                AND found.id = p_order_id
        )
    FOR UPDATE;

    SELECT locked.*
    INTO v_order
    FROM {{ schema }}.ticket_orders AS locked
    WHERE
        locked.show_id = p_show_id
        AND locked.id = p_order_id
    FOR UPDATE;
    RETURN v_order;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_order(uuid, uuid) IS
'Locks an order and its reservation and returns the present state of the order; a row of NULLs if '
'there is none.';
