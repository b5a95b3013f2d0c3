-- What the CHECKs of the four tables that a hold is written to cost: drops them.
DO $body$
DECLARE
    v_constraint record;
BEGIN
    FOR v_constraint IN
        SELECT
            c.conrelid::regclass AS table_name,
            c.conname AS name
        FROM pg_constraint AS c
        WHERE
            c.contype = 'c'
            AND c.coninhcount = 0
            AND c.conrelid IN (
                'public.show_seats'::regclass,
                'public.seat_reservations'::regclass,
                'public.reservation_seats'::regclass,
                'public.seat_reservation_audit_log'::regclass
            )
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', v_constraint.table_name, v_constraint.name);
    END LOOP;
END;
$body$;
