-- What is wrong with the jobs, the rollups or the invariants: a row for each problem. One check at a time, so that the
-- others still work where the objects that one of them needs are missing.
{% if is_rollups and has_rollups %}
SELECT
    format('%I was restored from another server: run roll_up_metrics(), or new events may be missing', m.log) AS detail
FROM {{ internal_schema }}.metric_watermarks AS m
WHERE {{ internal_schema }}.is_restored_log(m.log)
{% elif is_rollups %}
SELECT
    'table metric_watermarks or function is_restored_log is missing' AS detail
{% elif is_invariants and has_invariants %}
SELECT
    format('%s: %s violations', v.invariant, v.violations) AS detail
FROM {{ internal_schema }}.current_violations() AS v
WHERE v.violations <> 0
{% elif is_invariants %}
SELECT
    'function current_violations is missing' AS detail
{% elif has_pg_cron and not sees_pg_cron %}
SELECT
    format('role %I may not look into schema cron', current_user) AS detail
{% elif has_pg_cron %}
SELECT
    CASE
        WHEN j.jobid IS NULL THEN format('job %s is missing', w.job_name)
        WHEN count(*) OVER (PARTITION BY w.job_name) > 1
            THEN format('job %s is there more than once, as %s and others', w.job_name, j.jobid)
        ELSE concat_ws(
            '; ',
            format('job %s', w.job_name) || CASE WHEN NOT j.active THEN ' is switched off' ELSE '' END,
            CASE WHEN j.schedule <> w.schedule THEN format('schedule %L instead of %L', j.schedule, w.schedule) END,
            CASE WHEN j.command <> w.command THEN format('command %L instead of %L', j.command, w.command) END,
            CASE
                WHEN (j.nodename, j.nodeport) <> (here.host, here.port)
                    THEN format(
                        'runs on %s:%s instead of %s:%s, as in the dump that it came with: run `ticketdb apply`',
                        j.nodename, j.nodeport, here.host, here.port
                    )
            END
        )
    END AS detail
FROM {{ internal_schema }}.scheduled_jobs() AS w
LEFT JOIN cron.job AS j ON j.jobname = w.job_name AND j.database = current_database()
-- Where pg_cron would run a new job. Its host can be read by superusers and their like: others compare the port only.
CROSS JOIN LATERAL (
    SELECT
        current_setting('port')::integer AS port,
        CASE
            WHEN pg_has_role('pg_read_all_settings', 'USAGE') THEN current_setting('cron.host')
            ELSE j.nodename
        END AS host
) AS here
WHERE
    NOT COALESCE(
        j.active
        AND (j.schedule, j.command, j.nodename, j.nodeport) = (w.schedule, w.command, here.host, here.port),
        false
    )
    OR (SELECT count(*) FROM cron.job AS o WHERE o.jobname = j.jobname AND o.database = j.database) > 1
{% else %}
SELECT
    'never' AS detail
WHERE false
{% endif %}
ORDER BY 1
