-- The first step of calls about several orders of a show. All functions lock reservations, then
-- orders, then seats, each in the order of id. One at a time, since a statement about an array of
-- ids might be planned as a scan of all, while the tables are small.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.lock_orders(p_show_id uuid, p_order_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_reservation_id uuid;
    v_reservation_ids uuid[] := '{}'::uuid[];
    v_id uuid;
BEGIN
    FOREACH v_id IN ARRAY p_order_ids LOOP
        -- An order never changes its reservation, so this look-up needs no lock.
        SELECT found.reservation_id
        INTO v_reservation_id
        FROM {{ schema }}.ticket_orders AS found
        WHERE
            found.show_id = p_show_id
            AND found.id = v_id;
        v_reservation_ids := v_reservation_ids || v_reservation_id;
    END LOOP;

    FOR v_id IN SELECT DISTINCT unnest(v_reservation_ids) ORDER BY 1 LOOP
        PERFORM
        FROM {{ schema }}.seat_reservations AS hold
        WHERE
            hold.show_id = p_show_id
            AND hold.id = v_id
        FOR UPDATE;
    END LOOP;

    FOR v_id IN SELECT unnest(p_order_ids) ORDER BY 1 LOOP
        PERFORM
        FROM {{ schema }}.ticket_orders AS locked
        WHERE
            locked.show_id = p_show_id
            AND locked.id = v_id
        FOR UPDATE;
    END LOOP;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.lock_orders(uuid, uuid[]) IS
'Locks these orders of a show and their reservations.';
