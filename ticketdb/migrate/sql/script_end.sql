
SELECT to_regprocedure(format('%I.schedule_jobs()', {{ internal_schema | literal }})) IS NOT NULL AS has_jobs
\gset
\o
\if :has_jobs
SELECT * FROM {{ internal_schema }}.schedule_jobs();
\endif
\o /dev/null
