-- Partitions of the logs, from the day of installation; the job creates those of later months.
SELECT {{ schema }}.maintain_partitions();
