-- Called by the functions of the box office for what no trigger logs: one line for each call, or
-- for each reservation that it changes. p_staff is NULL where a machine calls.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_staff_action(
    p_event_type text,
    p_show_id uuid,
    p_reservation_id uuid,
    p_seat_ids uuid[],
    p_staff text,
    p_detail jsonb DEFAULT '{}'
)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $body$
INSERT INTO {{ schema }}.seat_reservation_audit_log (
    event_type, reservation_id, show_id, seat_count, seat_ids, metadata
)
VALUES (
    p_event_type,
    p_reservation_id,
    p_show_id,
    cardinality(p_seat_ids),
    p_seat_ids,
    jsonb_strip_nulls(jsonb_build_object('staff', p_staff)) || p_detail
);
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_staff_action(text, uuid, uuid, uuid[], text, jsonb) IS
'Records what the staff did to seats in seat_reservation_audit_log, and who did it.';
