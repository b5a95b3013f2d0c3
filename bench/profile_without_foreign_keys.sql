-- What the foreign keys of a hold cost: drops them.
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
            c.contype = 'f'
            AND c.conrelid IN ('public.seat_reservations'::regclass, 'public.reservation_seats'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', v_constraint.table_name, v_constraint.name);
    END LOOP;
END;
$body$;
