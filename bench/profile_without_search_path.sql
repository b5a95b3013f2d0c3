-- What pinning the search path costs: takes it off reserve_seats and its trigger function.
ALTER FUNCTION public.reserve_seats RESET search_path;
ALTER FUNCTION ticketdb.audit_seat_reservation RESET search_path;
