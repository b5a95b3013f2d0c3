SELECT {{ internal_schema }}.unschedule_jobs();
