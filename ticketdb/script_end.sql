
SELECT to_regprocedure(format('%I.schedule_jobs()', {{ schema | literal }})) IS NOT NULL AS has_jobs
\gset
\o
\if :has_jobs
SELECT * FROM {{ schema }}.schedule_jobs();
\endif
\o /dev/null
