-- Measures nothing: puts a freshly copied database into the state of one at work, the same for both sides of a pair.
-- All pages are read, and each page of the seats is changed once after the checkpoint: the first change of a page logs
-- the whole page, and a slice of some seconds would consist of little else.
CREATE EXTENSION IF NOT EXISTS pg_prewarm;

SELECT sum(pg_prewarm(c.oid))
FROM pg_class AS c
WHERE
    c.relkind IN ('r', 'i', 't', 'm')
    AND c.relpersistence = 'p';

SELECT
FROM public.show_seats AS seat
WHERE (seat.ctid::text::point)[1] = 1
FOR UPDATE;

SELECT
FROM floor.show_seats AS seat
WHERE (seat.ctid::text::point)[1] = 1
FOR UPDATE;
