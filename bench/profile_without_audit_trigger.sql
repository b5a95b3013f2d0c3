-- What the audit trigger and its row cost: disables it.
ALTER TABLE public.seat_reservations DISABLE TRIGGER seat_reservations_audit_insert;
