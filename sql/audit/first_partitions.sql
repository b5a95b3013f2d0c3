-- Partitions of the logs from the day of installation on; the daily job goes on from there.
SELECT {{ schema }}.maintain_partitions();
