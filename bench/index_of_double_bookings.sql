-- An index that has the answer to metric 2 of the guide, and serves nothing else.
CREATE INDEX raw_of_double_bookings ON public.seat_reservation_audit_log (created_at)
WHERE event_type = 'failed' AND error_message LIKE '%constraint%';
