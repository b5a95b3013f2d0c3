
SELECT to_regprocedure(format('%I.schedule_jobs()', {{ schema | literal }})) IS NOT NULL AS has_jobs
\gset
\o
\if :has_jobs
SELECT * FROM {{ schema }}.schedule_jobs();
\endif
SELECT pg_advisory_unlock(hashtextextended('ticketdb migration of ' || {{ schema | literal }}, 0))
\g /dev/null
RESET client_min_messages;
RESET standard_conforming_strings;
RESET search_path;
RESET timezone;
RESET lock_timeout;
RESET statement_timeout;
