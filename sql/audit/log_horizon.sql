-- How far ahead the logs must have partitions, in one place: for creating them, and for checking
-- that none is missing.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_horizon()
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '4 months') AT TIME ZONE 'UTC';
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_horizon() IS
'The end of the months for which each log must have a partition: this one (UTC) and three more.';
