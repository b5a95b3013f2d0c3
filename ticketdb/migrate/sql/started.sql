-- For the ledger: when the revision began. The start of the transaction would be wrong for one that runs outside.
SELECT pg_catalog.set_config('ticketdb.started', extract(epoch FROM pg_catalog.clock_timestamp())::text, false);
