-- 0006: Audit triggers.
-- A template, frozen by `ticketdb revision`.

-- object: functions/audit_seat_reservation.sql sha256=b981c0e3a9278efee3063dd15cf11ab13741a9eac461db1c7cfcdc506ba202c4
-- Trigger function: whoever changes a hold, by whatever statement, leaves a line; who may not write
-- the log may not change a hold. It runs as the caller.
CREATE OR REPLACE FUNCTION {{ schema }}.audit_seat_reservation()
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

COMMENT ON FUNCTION {{ schema }}.audit_seat_reservation() IS
'Trigger: writes what happened to a hold into seat_reservation_audit_log.';

-- object: triggers/seat_reservations_audit.sql sha256=9f51decbb4ba053d3e964486f20646f2ddca5b304e0a6c1a1f9a9d3720295371
-- Row-level: transition tables do not work on distributed tables. ENABLE ALWAYS:
-- session_replication_role = replica does not silence it.
CREATE OR REPLACE TRIGGER seat_reservations_audit_insert
AFTER INSERT ON {{ schema }}.seat_reservations
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.audit_seat_reservation();

CREATE OR REPLACE TRIGGER seat_reservations_audit_update
AFTER UPDATE ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (
    OLD.status IS DISTINCT FROM NEW.status
    OR OLD.extension_count IS DISTINCT FROM NEW.extension_count
)
EXECUTE FUNCTION {{ schema }}.audit_seat_reservation();

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_audit_insert,
ENABLE ALWAYS TRIGGER seat_reservations_audit_update;

COMMENT ON TRIGGER seat_reservations_audit_insert
ON {{ schema }}.seat_reservations IS 'Logs each new hold.';
COMMENT ON TRIGGER seat_reservations_audit_update ON {{ schema }}.seat_reservations IS
'Logs how a hold is extended and how it ends.';

-- object: functions/audit_ticket_order.sql sha256=00f21396b17c4791e3489ec23fb9c068d30ec0db9ac16ec99eb53c743b6efc1b
-- Trigger function: whoever changes an order, by whatever statement, leaves a line. Runs as the
-- caller: who may not write the log may not change an order.
CREATE OR REPLACE FUNCTION {{ schema }}.audit_ticket_order()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.ticket_order_audit_log (
        order_id, reservation_id, show_id, old_status, new_status, amount_in_cents, currency,
        seat_count, payment_provider, order_created_at, error_message
    )
    VALUES (
        NEW.id,
        NEW.reservation_id,
        NEW.show_id,
        CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END,
        NEW.status,
        NEW.total_amount_in_cents,
        NEW.currency,
        cardinality(NEW.seat_ids),
        NEW.payment_provider,
        NEW.created_at,
        -- The order keeps the words of its last failure; the line of a later success is none.
        CASE WHEN NEW.status = 'failed' THEN NEW.error_message END
    );
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.audit_ticket_order() IS
'Trigger: writes each change of status of an order into ticket_order_audit_log.';

-- object: triggers/ticket_orders_audit.sql sha256=3564b711ae7070b3d4744f6c5407d680f8d5493bc9880df56f3278fc757eb1ce
CREATE OR REPLACE TRIGGER ticket_orders_audit_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.audit_ticket_order();

CREATE OR REPLACE TRIGGER ticket_orders_audit_update
AFTER UPDATE ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION {{ schema }}.audit_ticket_order();

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_audit_insert,
ENABLE ALWAYS TRIGGER ticket_orders_audit_update;

COMMENT ON TRIGGER ticket_orders_audit_insert
ON {{ schema }}.ticket_orders IS 'Logs each new order.';
COMMENT ON TRIGGER ticket_orders_audit_update
ON {{ schema }}.ticket_orders IS 'Logs each change of status.';

-- object: functions/sync_reserved_until.sql sha256=77501022e907202d44403cf55d92577bbe76f398695fdd4e75dc57476caddb1d
-- Trigger function: seat_reservations.expires_at decides, and a DBA may move it by hand; a copy on
-- the seats spares each buyer the look at the reservations behind them.
CREATE OR REPLACE FUNCTION {{ schema }}.sync_reserved_until()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = off
AS $body$
DECLARE
    v_seat_ids uuid[];
BEGIN
    SELECT array_agg(claim.show_seat_id) FILTER (WHERE claim.released_at IS NULL)
    INTO v_seat_ids
    FROM {{ schema }}.reservation_seats AS claim
    WHERE
        claim.reservation_id = NEW.id
        AND claim.show_id = NEW.show_id;
    -- Everybody locks seats in id order.
    PERFORM
    FROM {{ schema }}.show_seats AS seat
    WHERE
        seat.show_id = NEW.show_id
        AND seat.id = ANY(v_seat_ids)
    ORDER BY seat.id
    FOR UPDATE;

    UPDATE {{ schema }}.show_seats
    SET reserved_until = NEW.expires_at
    WHERE
        show_seats.show_id = NEW.show_id
        AND show_seats.id = ANY(v_seat_ids)
        AND show_seats.reserved_by = NEW.id;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.sync_reserved_until() IS
'Trigger: copies a moved seat_reservations.expires_at to the seats that the reservation holds.';

-- object: triggers/seat_reservations_sync_reserved_until.sql sha256=c5af382d23ad2bdb4d6e102bf9854635adfe07f08aa358b4ba68eff864ad917f
CREATE OR REPLACE TRIGGER seat_reservations_sync_reserved_until
AFTER UPDATE OF expires_at ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (NEW.status = 'active' AND OLD.expires_at IS DISTINCT FROM NEW.expires_at)
EXECUTE FUNCTION {{ schema }}.sync_reserved_until();

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_sync_reserved_until;

COMMENT ON TRIGGER seat_reservations_sync_reserved_until ON {{ schema }}.seat_reservations IS
'Keeps show_seats.reserved_until equal to the expires_at of the hold.';

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
