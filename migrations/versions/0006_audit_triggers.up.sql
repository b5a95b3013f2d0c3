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

-- object: functions/sync_reserved_until.sql sha256=be52b3288a284e62e7a331384159458628fee24c63a9a8eda6e0630805698d5f
-- Trigger function: seat_reservations.expires_at decides, and a DBA may move it by hand; a copy on
-- the seats spares each buyer the look at the reservations behind them.
CREATE OR REPLACE FUNCTION {{ schema }}.sync_reserved_until()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET commit_siblings = 997
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

-- object: functions/log_change.sql sha256=c2d6b8891b079435546adf7a52adc954a3953565bed1d642100c24907783f20a
-- Trigger function: a line in change_log. Its arguments are the columns of the table's key, and
-- those whose values are personal or secret, each list with commas. Runs as the owner: whoever was
-- given the right to change a show need not be able to write the log, and cannot avoid it.
--
-- Our functions that change holds, seats and orders leave no line: other logs tell what they do.
-- They are known by SET commit_siblings = 997 in their heads, which lasts exactly as long as they
-- run and changes nothing else: the server looks at it when a transaction is committed. A setting
-- of our own would do, but only a superuser may give a function one.
CREATE OR REPLACE FUNCTION {{ schema }}.log_change()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The line is the same whatever the session has set.
SET timezone = 'UTC'
SET extra_float_digits = 1
AS $body$
DECLARE
    v_old constant jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
    v_new constant jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
    v_key constant text[] := string_to_array(TG_ARGV[0], ',');
    v_masked constant text[] := string_to_array(TG_ARGV[1], ',');
    -- What the trigger is for: another one tells the rest of the same change.
    v_columns constant text[] := ARRAY(
        SELECT columns.attname::text
        FROM pg_trigger AS trigger
        INNER JOIN pg_attribute AS columns
            ON
                columns.attrelid = trigger.tgrelid
                AND columns.attnum > 0
                AND NOT columns.attisdropped
                AND (columns.attnum = ANY(trigger.tgattr) OR cardinality(trigger.tgattr::smallint[]) = 0)
        WHERE
            trigger.tgrelid = TG_RELID
            AND trigger.tgname = TG_NAME
    );
BEGIN
    INSERT INTO {{ schema }}.change_log (table_name, operation, row_key, old_values, new_values)
    SELECT
        TG_TABLE_NAME,
        lower(TG_OP),
        jsonb_object_agg(changed.name, COALESCE(v_old, v_new) -> changed.name)
        FILTER (WHERE changed.name = ANY(v_key)),
        jsonb_object_agg(changed.name, changed.old_value)
        FILTER (WHERE v_old IS NOT NULL AND changed.differs),
        jsonb_object_agg(changed.name, changed.new_value)
        FILTER (WHERE v_new IS NOT NULL AND changed.differs)
    FROM (
        SELECT
            columns.name,
            columns.name = ANY(v_columns)
            AND v_old -> columns.name IS DISTINCT FROM v_new -> columns.name AS differs,
            CASE
                WHEN columns.name = ANY(v_masked) AND v_old -> columns.name <> 'null'
                    THEN to_jsonb('***'::text)
                ELSE v_old -> columns.name
            END AS old_value,
            CASE
                WHEN columns.name = ANY(v_masked) AND v_new -> columns.name <> 'null'
                    THEN to_jsonb('***'::text)
                ELSE v_new -> columns.name
            END AS new_value
        FROM jsonb_object_keys(COALESCE(v_new, v_old)) AS columns (name)
    ) AS changed
    HAVING bool_or(changed.differs);
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.log_change() IS
'Trigger: writes a change of a row into change_log. Arguments: the columns of the key, and those '
'whose values are masked.';

-- object: functions/log_new_seats.sql sha256=d7b2ff7d9ef274098e140e1feec11d79b468d3b93161b023d44744fd599bd4fd
-- Trigger function: a shop adds the 80,000 seats of a stadium in one statement, which is worth one
-- line.
CREATE OR REPLACE FUNCTION {{ schema }}.log_new_seats()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    INSERT INTO {{ schema }}.change_log (
        table_name, operation, row_key, rows_changed, new_values
    )
    SELECT
        TG_TABLE_NAME,
        'insert',
        jsonb_build_object('show_id', new_seats.show_id),
        count(*),
        jsonb_build_object(
            'status', jsonb_agg(DISTINCT new_seats.status),
            'lowest_price_in_cents', min(new_seats.price_in_cents),
            'highest_price_in_cents', max(new_seats.price_in_cents)
        )
    FROM new_seats
    GROUP BY new_seats.show_id;
    RETURN NULL;
END;
$body$;

COMMENT ON FUNCTION {{ schema }}.log_new_seats() IS
'Trigger: writes how many seats a statement has added to which show into change_log.';

-- object: triggers/shows_change_log.sql sha256=26a0c46c7c5ef94a3da5dbd9963bd4a149855a6ae61e111144ae1144adb9a7e6
-- Few, and changed by hand only: every change has its line.
CREATE OR REPLACE TRIGGER shows_change_log_insert
AFTER INSERT ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('id');

CREATE OR REPLACE TRIGGER shows_change_log_update
AFTER UPDATE ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('id');

CREATE OR REPLACE TRIGGER shows_change_log_delete
AFTER DELETE ON {{ schema }}.shows
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('id');

ALTER TABLE {{ schema }}.shows
ENABLE ALWAYS TRIGGER shows_change_log_insert,
ENABLE ALWAYS TRIGGER shows_change_log_update,
ENABLE ALWAYS TRIGGER shows_change_log_delete;

COMMENT ON TRIGGER shows_change_log_insert ON {{ schema }}.shows IS
'Logs each show that is added.';
COMMENT ON TRIGGER shows_change_log_update ON {{ schema }}.shows IS
'Logs each change of a show.';
COMMENT ON TRIGGER shows_change_log_delete ON {{ schema }}.shows IS
'Logs each show that is deleted; one that anything refers to cannot be.';

-- object: triggers/show_seats_change_log.sql sha256=6a8a617a3cc8eee2be64362f37257b0798dca41f65e1569e3383718e49c7ce65
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER show_seats_change_log_insert
AFTER INSERT ON {{ schema }}.show_seats
REFERENCING NEW TABLE AS new_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.log_new_seats();

CREATE OR REPLACE TRIGGER show_seats_change_log_update
AFTER UPDATE OF id, show_id, section, row_label, seat_number, price_in_cents
ON {{ schema }}.show_seats
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER show_seats_change_log_update_by_hand
AFTER UPDATE OF status, reserved_by, reserved_until ON {{ schema }}.show_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER show_seats_change_log_delete
AFTER DELETE ON {{ schema }}.show_seats
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('id,show_id');

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_change_log_insert,
ENABLE ALWAYS TRIGGER show_seats_change_log_update,
ENABLE ALWAYS TRIGGER show_seats_change_log_update_by_hand,
ENABLE ALWAYS TRIGGER show_seats_change_log_delete;

COMMENT ON TRIGGER show_seats_change_log_insert ON {{ schema }}.show_seats IS
'Logs seats that are added, a line for each statement and show.';
COMMENT ON TRIGGER show_seats_change_log_update ON {{ schema }}.show_seats IS
'Logs each change of the place or the price of a seat.';
COMMENT ON TRIGGER show_seats_change_log_update_by_hand ON {{ schema }}.show_seats IS
'Logs each change of the state of a seat that none of our functions makes.';
COMMENT ON TRIGGER show_seats_change_log_delete ON {{ schema }}.show_seats IS
'Logs each seat that is deleted; one that anything refers to cannot be.';

-- object: triggers/seat_reservations_change_log.sql sha256=251610de8773371b8b731cd58d9b5f559af54db7df1bc910cd01cd85a2a99a45
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew. A new hold is in
-- seat_reservation_audit_log, whoever makes it: one trigger less where it counts.
CREATE OR REPLACE TRIGGER seat_reservations_change_log_update
AFTER UPDATE OF id, show_id, reservation_token, created_at ON {{ schema }}.seat_reservations
FOR EACH ROW
EXECUTE FUNCTION {{ schema }}.log_change(
    'id,show_id',
    'reservation_token,session_id,user_id,email,user_agent,ip_address'
);

CREATE OR REPLACE TRIGGER seat_reservations_change_log_update_by_hand
AFTER UPDATE OF session_id, user_id, email, user_agent, ip_address, status, expires_at,
extension_count, ended_at
ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change(
    'id,show_id',
    'reservation_token,session_id,user_id,email,user_agent,ip_address'
);

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_change_log_update,
ENABLE ALWAYS TRIGGER seat_reservations_change_log_update_by_hand;

COMMENT ON TRIGGER seat_reservations_change_log_update ON {{ schema }}.seat_reservations IS
'Logs each change of what a hold was made of.';
COMMENT ON TRIGGER seat_reservations_change_log_update_by_hand ON {{ schema }}.seat_reservations IS
'Logs each change of the state of a hold that none of our functions makes.';

-- object: triggers/reservation_seats_change_log.sql sha256=99c410c7515f6f8608cd47ac97e7c3eb46ddc1e42e95421b0b379641230953bb
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER reservation_seats_change_log_insert
AFTER INSERT ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('reservation_id,show_seat_id,show_id');

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update
AFTER UPDATE OF reservation_id, show_seat_id, show_id, price_in_cents, currency
ON {{ schema }}.reservation_seats
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('reservation_id,show_seat_id,show_id');

CREATE OR REPLACE TRIGGER reservation_seats_change_log_update_by_hand
AFTER UPDATE OF released_at ON {{ schema }}.reservation_seats
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('reservation_id,show_seat_id,show_id');

ALTER TABLE {{ schema }}.reservation_seats
ENABLE ALWAYS TRIGGER reservation_seats_change_log_insert,
ENABLE ALWAYS TRIGGER reservation_seats_change_log_update,
ENABLE ALWAYS TRIGGER reservation_seats_change_log_update_by_hand;

COMMENT ON TRIGGER reservation_seats_change_log_insert ON {{ schema }}.reservation_seats IS
'Logs each claim that is added by hand.';
COMMENT ON TRIGGER reservation_seats_change_log_update ON {{ schema }}.reservation_seats IS
'Logs each change of what a claim was made of.';
COMMENT ON TRIGGER reservation_seats_change_log_update_by_hand ON {{ schema }}.reservation_seats IS
'Logs each change of the state of a claim that none of our functions makes.';

-- object: triggers/ticket_orders_change_log.sql sha256=3575b4da334709a183ffea0f12ac619d4cd304677ab0e83934526fd7b4283218
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER ticket_orders_change_log_insert
AFTER INSERT ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update
AFTER UPDATE OF id, show_id, reservation_id, seat_ids, total_amount_in_cents, currency, created_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id', 'idempotency_key,error_message');

CREATE OR REPLACE TRIGGER ticket_orders_change_log_update_by_hand
AFTER UPDATE OF status, idempotency_key, payment_provider, payment_intent_id, error_message,
cancel_reason, refunded_amount_in_cents, paid_at
ON {{ schema }}.ticket_orders
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id', 'idempotency_key,error_message');

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_orders_change_log_update,
ENABLE ALWAYS TRIGGER ticket_orders_change_log_update_by_hand;

COMMENT ON TRIGGER ticket_orders_change_log_insert ON {{ schema }}.ticket_orders IS
'Logs each order that is added by hand.';
COMMENT ON TRIGGER ticket_orders_change_log_update ON {{ schema }}.ticket_orders IS
'Logs each change of what a order was made of.';
COMMENT ON TRIGGER ticket_orders_change_log_update_by_hand ON {{ schema }}.ticket_orders IS
'Logs each change of the state of a order that none of our functions makes.';

-- object: triggers/tickets_change_log.sql sha256=bb6de07d827e27c1cc1f68c25fa1330b77be3442c452d9d8851aa4d3255a0b30
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER tickets_change_log_insert
AFTER INSERT ON {{ schema }}.tickets
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update
AFTER UPDATE OF id, show_id, order_id, show_seat_id, price_in_cents, currency, ticket_code,
created_at
ON {{ schema }}.tickets
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('id,show_id', 'ticket_code');

CREATE OR REPLACE TRIGGER tickets_change_log_update_by_hand
AFTER UPDATE OF status ON {{ schema }}.tickets
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id', 'ticket_code');

ALTER TABLE {{ schema }}.tickets
ENABLE ALWAYS TRIGGER tickets_change_log_insert,
ENABLE ALWAYS TRIGGER tickets_change_log_update,
ENABLE ALWAYS TRIGGER tickets_change_log_update_by_hand;

COMMENT ON TRIGGER tickets_change_log_insert ON {{ schema }}.tickets IS
'Logs each ticket that is added by hand.';
COMMENT ON TRIGGER tickets_change_log_update ON {{ schema }}.tickets IS
'Logs each change of what a ticket was made of.';
COMMENT ON TRIGGER tickets_change_log_update_by_hand ON {{ schema }}.tickets IS
'Logs each change of the state of a ticket that none of our functions makes.';

-- object: triggers/payment_events_change_log.sql sha256=2c9a8b16bbb3bc96347fb8c73c956ffc5fd610a9b0dd6d98e012b0efcd90f940
-- Our functions add rows, and there are other logs of that: see log_change(). Nobody changes one.
CREATE OR REPLACE TRIGGER payment_events_change_log_insert
AFTER INSERT ON {{ schema }}.payment_events
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change(
    'provider,event_id,kind,order_id,show_id',
    'error_message'
);

ALTER TABLE {{ schema }}.payment_events
ENABLE ALWAYS TRIGGER payment_events_change_log_insert;

COMMENT ON TRIGGER payment_events_change_log_insert ON {{ schema }}.payment_events IS
'Logs each event that is added by hand.';

-- object: triggers/payment_intents_change_log.sql sha256=d9d1f3ee35ec27d932e0a70eaf4ae695493cd650261b0419563dac87981d0ae9
-- Our functions add rows, and there are other logs of that: see log_change(). Nobody changes one.
CREATE OR REPLACE TRIGGER payment_intents_change_log_insert
AFTER INSERT ON {{ schema }}.payment_intents
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('payment_intent_id,payment_provider,order_id,show_id');

CREATE OR REPLACE TRIGGER payment_intents_change_log_update
AFTER UPDATE ON {{ schema }}.payment_intents
FOR EACH ROW
EXECUTE FUNCTION {{ schema }}.log_change('payment_intent_id,payment_provider,order_id,show_id');

ALTER TABLE {{ schema }}.payment_intents
ENABLE ALWAYS TRIGGER payment_intents_change_log_insert,
ENABLE ALWAYS TRIGGER payment_intents_change_log_update;

COMMENT ON TRIGGER payment_intents_change_log_insert ON {{ schema }}.payment_intents IS
'Logs each payment that is added by hand.';
COMMENT ON TRIGGER payment_intents_change_log_update ON {{ schema }}.payment_intents IS
'Logs each change of a payment.';

-- object: triggers/ticket_order_keys_change_log.sql sha256=86f2d35d6e872988e2ad0f6ece83b82dbdcd45b4956d2743966136234c01f255
-- Our functions add rows, and there are other logs of that: see log_change(). Nobody changes one.
CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_insert
AFTER INSERT ON {{ schema }}.ticket_order_keys
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('idempotency_key,show_id');

CREATE OR REPLACE TRIGGER ticket_order_keys_change_log_update
AFTER UPDATE ON {{ schema }}.ticket_order_keys
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('idempotency_key,show_id');

ALTER TABLE {{ schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_insert,
ENABLE ALWAYS TRIGGER ticket_order_keys_change_log_update;

COMMENT ON TRIGGER ticket_order_keys_change_log_insert ON {{ schema }}.ticket_order_keys IS
'Logs each key that is added by hand.';
COMMENT ON TRIGGER ticket_order_keys_change_log_update ON {{ schema }}.ticket_order_keys IS
'Logs each change of a key.';

-- object: triggers/refunds_change_log.sql sha256=021adfd8f96186b21ae4f4699679c2d89f2dbd90d1972e923ee08de5ed9271e1
-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew.
CREATE OR REPLACE TRIGGER refunds_change_log_insert
AFTER INSERT ON {{ schema }}.refunds
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER refunds_change_log_update
AFTER UPDATE OF id, show_id, order_id, ticket_ids, amount_in_cents, currency, reason,
payment_provider, payment_event_id, created_at
ON {{ schema }}.refunds
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('id,show_id');

CREATE OR REPLACE TRIGGER refunds_change_log_update_by_hand
AFTER UPDATE OF status, done_at ON {{ schema }}.refunds
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ schema }}.log_change('id,show_id');

ALTER TABLE {{ schema }}.refunds
ENABLE ALWAYS TRIGGER refunds_change_log_insert,
ENABLE ALWAYS TRIGGER refunds_change_log_update,
ENABLE ALWAYS TRIGGER refunds_change_log_update_by_hand;

COMMENT ON TRIGGER refunds_change_log_insert ON {{ schema }}.refunds IS
'Logs each refund that is added by hand.';
COMMENT ON TRIGGER refunds_change_log_update ON {{ schema }}.refunds IS
'Logs each change of what a refund was made of.';
COMMENT ON TRIGGER refunds_change_log_update_by_hand ON {{ schema }}.refunds IS
'Logs each change of the state of a refund that none of our functions makes.';

-- object: triggers/currencies_change_log.sql sha256=3187409a4428d0336bfcda6be897f0403a095b784232c41c7c7747109de077ab
-- Few, and changed by hand only: every change has its line.
CREATE OR REPLACE TRIGGER currencies_change_log_insert
AFTER INSERT ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('code');

CREATE OR REPLACE TRIGGER currencies_change_log_update
AFTER UPDATE ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('code');

CREATE OR REPLACE TRIGGER currencies_change_log_delete
AFTER DELETE ON {{ schema }}.currencies
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('code');

ALTER TABLE {{ schema }}.currencies
ENABLE ALWAYS TRIGGER currencies_change_log_insert,
ENABLE ALWAYS TRIGGER currencies_change_log_update,
ENABLE ALWAYS TRIGGER currencies_change_log_delete;

COMMENT ON TRIGGER currencies_change_log_insert ON {{ schema }}.currencies IS
'Logs each currency that is added by hand.';
COMMENT ON TRIGGER currencies_change_log_update ON {{ schema }}.currencies IS
'Logs each change of a currency.';
COMMENT ON TRIGGER currencies_change_log_delete ON {{ schema }}.currencies IS
'Logs each currency that is deleted.';

-- object: triggers/ticketing_settings_change_log.sql sha256=df55e1d04d8e23074fc0151017f89c29302ce07443bc94785d1a58a22b55f941
-- Few, and changed by hand only: every change has its line.
CREATE OR REPLACE TRIGGER ticketing_settings_change_log_insert
AFTER INSERT ON {{ schema }}.ticketing_settings
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('singleton');

CREATE OR REPLACE TRIGGER ticketing_settings_change_log_update
AFTER UPDATE ON {{ schema }}.ticketing_settings
FOR EACH ROW EXECUTE FUNCTION {{ schema }}.log_change('singleton');

ALTER TABLE {{ schema }}.ticketing_settings
ENABLE ALWAYS TRIGGER ticketing_settings_change_log_insert,
ENABLE ALWAYS TRIGGER ticketing_settings_change_log_update;

COMMENT ON TRIGGER ticketing_settings_change_log_insert ON {{ schema }}.ticketing_settings IS
'Logs each setting that is added by hand.';
COMMENT ON TRIGGER ticketing_settings_change_log_update ON {{ schema }}.ticketing_settings IS
'Logs each change of a setting.';

-- object: triggers/seat_reservations_keep_rows.sql sha256=d39da01691ab95abc37c4ee429eb9e6691276ab5b53570b64643384dd10dfeca
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER seat_reservations_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.seat_reservations
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'A hold is released, never deleted; its personal columns may be emptied.'
);

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_keep_rows;

COMMENT ON TRIGGER seat_reservations_keep_rows ON {{ schema }}.seat_reservations IS
'Refuses DELETE and TRUNCATE.';

-- object: triggers/reservation_seats_keep_rows.sql sha256=c641bc717062225fb42a1936a5a40ca3623e87d2e44d7018920235f0ac35ac85
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER reservation_seats_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.reservation_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'A claim is released, never deleted.'
);

ALTER TABLE {{ schema }}.reservation_seats
ENABLE ALWAYS TRIGGER reservation_seats_keep_rows;

COMMENT ON TRIGGER reservation_seats_keep_rows ON {{ schema }}.reservation_seats IS
'Refuses DELETE and TRUNCATE.';

-- object: triggers/ticket_orders_keep_rows.sql sha256=169090367b5c70444e7425c9689df53b52fd1e03045861b186b3b0d3f1a78d74
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER ticket_orders_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.ticket_orders
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'An order is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.ticket_orders
ENABLE ALWAYS TRIGGER ticket_orders_keep_rows;

COMMENT ON TRIGGER ticket_orders_keep_rows ON {{ schema }}.ticket_orders IS
'Refuses DELETE and TRUNCATE.';

-- object: triggers/tickets_keep_rows.sql sha256=341260fc4adc3e0f58689e9ea9a975cc1e1f98763ed1d90fa3679139f9d332d0
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER tickets_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.tickets
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'A ticket is cancelled or refunded, never deleted.'
);

ALTER TABLE {{ schema }}.tickets
ENABLE ALWAYS TRIGGER tickets_keep_rows;

COMMENT ON TRIGGER tickets_keep_rows ON {{ schema }}.tickets IS
'Refuses DELETE and TRUNCATE.';

-- object: triggers/payment_intents_keep_rows.sql sha256=aa280c9d3d1993795a92ae050c44da6543d7b47d222fee3841e6e2c49c392ad6
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER payment_intents_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.payment_intents
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'Money may still come from it.'
);

ALTER TABLE {{ schema }}.payment_intents
ENABLE ALWAYS TRIGGER payment_intents_keep_rows;

COMMENT ON TRIGGER payment_intents_keep_rows ON {{ schema }}.payment_intents IS
'Refuses DELETE and TRUNCATE.';

-- object: triggers/ticket_order_keys_keep_rows.sql sha256=2b7266b666d11ae16edcdbbacc8dc78ba56ad67a7688c72518042977f1bf60ea
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER ticket_order_keys_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.ticket_order_keys
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'A key names its order for ever.'
);

ALTER TABLE {{ schema }}.ticket_order_keys
ENABLE ALWAYS TRIGGER ticket_order_keys_keep_rows;

COMMENT ON TRIGGER ticket_order_keys_keep_rows ON {{ schema }}.ticket_order_keys IS
'Refuses DELETE and TRUNCATE.';

-- object: triggers/refunds_keep_rows.sql sha256=0e65addecf2b9bf98a1d61f29ae63c049366718d2c0a941936123b192ad199b5
-- Money and seats were promised by these rows.
CREATE OR REPLACE TRIGGER refunds_keep_rows
BEFORE DELETE OR TRUNCATE ON {{ schema }}.refunds
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'A refund is done, never deleted.'
);

ALTER TABLE {{ schema }}.refunds
ENABLE ALWAYS TRIGGER refunds_keep_rows;

COMMENT ON TRIGGER refunds_keep_rows ON {{ schema }}.refunds IS
'Refuses DELETE and TRUNCATE.';

-- object: triggers/shows_keep_rows.sql sha256=687278924eaacc91dc2730440491009c043358593100095c0cd4a9c5419675f2
-- TRUNCATE would leave no line of what it took.
CREATE OR REPLACE TRIGGER shows_keep_rows
BEFORE TRUNCATE ON {{ schema }}.shows
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'Delete what nothing refers to with DELETE, which is logged.'
);

ALTER TABLE {{ schema }}.shows
ENABLE ALWAYS TRIGGER shows_keep_rows;

COMMENT ON TRIGGER shows_keep_rows ON {{ schema }}.shows IS
'Refuses TRUNCATE.';

-- object: triggers/show_seats_keep_rows.sql sha256=fb851b67ac224f11bd2542fe6f1f3572c188555f402e74b6b7d965a9c38ae961
-- TRUNCATE would leave no line of what it took.
CREATE OR REPLACE TRIGGER show_seats_keep_rows
BEFORE TRUNCATE ON {{ schema }}.show_seats
FOR EACH STATEMENT EXECUTE FUNCTION {{ schema }}.refuse_change(
    'Delete what nothing refers to with DELETE, which is logged.'
);

ALTER TABLE {{ schema }}.show_seats
ENABLE ALWAYS TRIGGER show_seats_keep_rows;

COMMENT ON TRIGGER show_seats_keep_rows ON {{ schema }}.show_seats IS
'Refuses TRUNCATE.';

-- privileges
SELECT {{ schema }}.revoke_default_privileges();
