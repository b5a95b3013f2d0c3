-- Trigger function: logs each change of a hold, by whatever statement. Runs as the caller: a role
-- that may not write the log may not change a hold.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.audit_seat_reservation()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    v_event_type text := CASE NEW.status
        WHEN 'active' THEN 'created'
        -- Sold at the counter in one step: not a hold that a buyer completed.
        WHEN 'completed' THEN CASE TG_OP WHEN 'INSERT' THEN 'issued' ELSE 'completed' END
        ELSE NEW.status
    END;
    v_hold_seconds double precision;
    v_metadata jsonb := '{}'::jsonb;
BEGIN
    IF v_event_type = 'issued' AND current_setting('commit_siblings') = '997' THEN
        -- By issue_tickets(), whose line names the staff; see log_change() for the number.
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.status = OLD.status THEN
            v_event_type := 'extended';
        ELSIF OLD.status = 'expired' AND NEW.status = 'completed' THEN
            -- A late payment: that hold ended, and was counted, when it expired.
            v_metadata := '{"late": true}'::jsonb;
        ELSIF NEW.ended_at IS NOT NULL THEN
            -- Not negative, in case the clock was set back.
            v_hold_seconds := GREATEST(
                0, extract(EPOCH FROM NEW.ended_at - NEW.created_at)::double precision
            );
        END IF;
    END IF;

    -- Claims are written before this row, and released after it: the live ones are those that the
    -- event is about. FILTER instead of WHERE, so that they are found by their reservation and not
    -- by the index of all live claims.
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
'Trigger function: logs an event of a hold in seat_reservation_audit_log.';
