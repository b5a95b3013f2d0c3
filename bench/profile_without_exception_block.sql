-- What the subtransaction of the EXCEPTION clause costs: cuts the clause out of reserve_seats.
DO $body$
DECLARE
    v_definition constant text := pg_get_functiondef('public.reserve_seats'::regproc);
    v_without constant text := regexp_replace(v_definition, '\n +EXCEPTION\n.*?(\n +END;\n)', '\1');
BEGIN
    IF v_without = v_definition OR v_without ~ 'EXCEPTION\n' THEN
        RAISE EXCEPTION 'reserve_seats does not look as expected';
    END IF;
    EXECUTE v_without;
END;
$body$;
