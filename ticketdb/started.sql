-- For the ledger: when a revision began. No transaction has begun with one that runs outside of any.
SELECT pg_catalog.set_config('ticketdb.started', extract(epoch FROM pg_catalog.clock_timestamp())::text, false);
