CREATE TABLE {{ internal_schema }}.reservation_minutes_all
PARTITION OF {{ internal_schema }}.reservation_minutes FOR VALUES IN (NULL)
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes_all IS
'Partition of reservation_minutes: all shows together.';
