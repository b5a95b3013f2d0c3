-- The result of a slice. Double winners are counted from the audit log, not from the index that should prevent them:
-- seats on which, since event %(since)s, two more holds were created than ended.
SELECT
    (
        SELECT count(*)
        FROM (
            SELECT
            FROM {schema}.seat_reservation_audit_log AS event
            CROSS JOIN LATERAL unnest(event.seat_ids) AS seat (id)
            WHERE
                event.id > %(since)s
                AND event.event_type IN ('created', 'released', 'expired')
            GROUP BY seat.id
            HAVING
                count(*) FILTER (WHERE event.event_type = 'created')
                - count(*) FILTER (WHERE event.event_type <> 'created') > 1
        ) AS seats
    ) AS double_winners,
    count(*) FILTER (WHERE event.event_type = 'created') AS won,
    count(*) FILTER (WHERE event.event_type = 'failed') AS refused,
    count(*) FILTER (WHERE event.event_type = 'released') AS given_back,
    (
        SELECT activity.deadlocks
        FROM pg_stat_database AS activity
        WHERE activity.datname = current_database()
    ) AS deadlocks,
    pg_current_wal_insert_lsn() - %(wal_from)s::pg_lsn AS wal_bytes
FROM {schema}.seat_reservation_audit_log AS event
WHERE event.id > %(since)s;
