CREATE TABLE {{ internal_schema }}.reservation_minutes_by_show
PARTITION OF {{ internal_schema }}.reservation_minutes DEFAULT
-- The same rows are updated for a minute or two: free space on the page keeps that cheap.
WITH (fillfactor = 80);

COMMENT ON TABLE {{ internal_schema }}.reservation_minutes_by_show IS
'Partition of reservation_minutes: each show separately.';
