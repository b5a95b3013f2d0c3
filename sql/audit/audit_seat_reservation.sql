-- Trigger function: whoever changes a hold, by whatever statement, leaves a line; who may not write
-- the log may not change a hold. It runs as the caller.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.audit_seat_reservation()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_event_type text := CASE WHEN NEW.status = 'active' THEN 'created' ELSE NEW.status END;
    v_hold_seconds double precision;
    v_metadata jsonb := '{}'::jsonb;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.status = OLD.status THEN
            v_event_type := 'extended';
        ELSIF OLD.status = 'expired' AND NEW.status = 'completed' THEN
            -- Sold after it was over: that hold ended, and was counted, when it expired.
            v_metadata := '{"late": true}'::jsonb;
        ELSIF NEW.ended_at IS NOT NULL THEN
            -- Not negative, should the clock have been set back.
            v_hold_seconds := GREATEST(
                0, extract(EPOCH FROM NEW.ended_at - NEW.created_at)::double precision
            );
        END IF;
    END IF;

    -- Claims are written before, and released after, the row that this is about: the live ones are
    -- those it concerns. FILTER and not WHERE: they are to be found by their reservation, not by
    -- the index of all live claims.
    INSERT INTO {{ schema }}.seat_reservation_audit_log (
        event_type, reservation_id, show_id, session_id, seat_count, seat_ids, user_agent,
        ip_address, metadata, hold_seconds
    )
    SELECT
        v_event_type,
        NEW.id,
        NEW.show_id,
        NEW.session_id,
        count(*) FILTER (WHERE claim.released_at IS NULL),
        COALESCE(array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL), '{}'),
        NEW.user_agent,
        NEW.ip_address,
        v_metadata,
        v_hold_seconds
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = NEW.id
        AND claim.show_id = NEW.show_id;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.audit_seat_reservation() IS
'Trigger: writes what happened to a hold into seat_reservation_audit_log.';
