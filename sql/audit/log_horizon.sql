-- How far ahead the logs are to have partitions, once: for making them, and for seeing that they
-- are missing.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.log_horizon()
RETURNS timestamptz
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '4 months') AT TIME ZONE 'UTC';
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.log_horizon() IS
'Up to when each log is to have a partition a month: this month (UTC) and three more.';
