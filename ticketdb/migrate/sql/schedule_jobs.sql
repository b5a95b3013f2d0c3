SELECT
    j.job_name,
    j.schedule,
    j.command,
    j.action
FROM {{ internal_schema }}.schedule_jobs() AS j
