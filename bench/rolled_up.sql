-- How many events of holds the rollup has.
SELECT
    sum(
        rolled_up.created + rolled_up.completed + rolled_up.expired + rolled_up.released + rolled_up.extended
        + rolled_up.failed
    )
FROM ticketdb.reservation_minutes AS rolled_up
WHERE rolled_up.show_id IS NULL;
