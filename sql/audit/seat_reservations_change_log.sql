-- Changes of state by ticketdb's functions are not logged here, since other logs record them: see
-- log_change(). All other changes are. The division by UPDATE OF costs nothing for statements that
-- change other columns; a longer WHEN would be parsed again by each statement. Every new hold is in
-- seat_reservation_audit_log already, which saves a trigger on the hot path.
CREATE OR REPLACE TRIGGER seat_reservations_change_log_update
AFTER UPDATE OF id, show_id, reservation_token, created_at ON {{ schema }}.seat_reservations
FOR EACH ROW
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'id,show_id',
    'reservation_token,session_id,user_id,email,user_agent,ip_address'
);

CREATE OR REPLACE TRIGGER seat_reservations_change_log_update_by_hand
AFTER UPDATE OF session_id, user_id, email, user_agent, ip_address, status, expires_at,
extension_count, ended_at
ON {{ schema }}.seat_reservations
FOR EACH ROW
WHEN (current_setting('commit_siblings') <> '997')
EXECUTE FUNCTION {{ internal_schema }}.log_change(
    'id,show_id',
    'reservation_token,session_id,user_id,email,user_agent,ip_address'
);

ALTER TABLE {{ schema }}.seat_reservations
ENABLE ALWAYS TRIGGER seat_reservations_change_log_update,
ENABLE ALWAYS TRIGGER seat_reservations_change_log_update_by_hand;

COMMENT ON TRIGGER seat_reservations_change_log_update ON {{ schema }}.seat_reservations IS
'Logs each change of the fixed columns of a hold.';
COMMENT ON TRIGGER seat_reservations_change_log_update_by_hand ON {{ schema }}.seat_reservations IS
'Logs each change by hand of the state of a hold.';
