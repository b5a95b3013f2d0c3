-- What our functions change has no line here while they are at work, since other logs tell it: see
-- log_change(). The rest has, whoever changes it. UPDATE OF is free for those who change other
-- columns, and a long WHEN is not: each statement parses it anew. A new hold is in
-- seat_reservation_audit_log, whoever makes it: one trigger less where it counts.
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
'Logs each change of what a hold was made of.';
COMMENT ON TRIGGER seat_reservations_change_log_update_by_hand ON {{ schema }}.seat_reservations IS
'Logs each change of the state of a hold that none of our functions makes.';
