-- What the indexes cost that only serve others (cleanup, tokens, dashboards): drops them. Primary keys stay, and the two
-- that serve the hold itself.
ALTER TABLE public.seat_reservations DROP CONSTRAINT seat_reservations_reservation_token_show_id_key;

DO $body$
DECLARE
    v_index record;
BEGIN
    FOR v_index IN
        SELECT i.indexrelid::regclass AS name
        FROM pg_index AS i
        WHERE
            i.indrelid IN (
                'public.seat_reservations'::regclass,
                'public.reservation_seats'::regclass,
                'public.seat_reservation_audit_log'::regclass
            )
            AND NOT i.indisprimary
            AND i.indexrelid NOT IN (
                'public.seat_reservations_one_active_per_session'::regclass,
                'public.reservation_seats_no_double_booking'::regclass
            )
    LOOP
        EXECUTE format('DROP INDEX %s', v_index.name);
    END LOOP;
END;
$body$;
