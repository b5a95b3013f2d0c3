SELECT
    j.job_name,
    j.schedule,
    j.command,
    j.action
FROM {{ schema }}.schedule_jobs() AS j
