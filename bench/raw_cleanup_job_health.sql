-- metric 5 of the guide
SELECT *
FROM reservation_cleanup_job_status
LIMIT 10
