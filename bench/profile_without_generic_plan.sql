-- What plan_cache_mode = 'force_generic_plan' gains: without it, statements with = ANY(p_seat_ids) are planned at each call.
ALTER FUNCTION public.reserve_seats RESET plan_cache_mode;
