-- What every revision runs under, whatever the settings of the role and the database are. With
-- this search path an unqualified name is an error instead of a guess. They are the session's, for
-- revisions that run outside a transaction. The last is for the ledger: no transaction has begun
-- with such a revision.
SELECT pg_catalog.set_config(s.setting, s.value, false)
FROM (
    VALUES
    ('client_min_messages', 'warning'),
    ('standard_conforming_strings', 'on'),
    ('search_path', 'pg_catalog, pg_temp'),
    ('timezone', 'UTC'),
    ('lock_timeout', {{ lock_timeout }}),
    ('statement_timeout', {{ statement_timeout }}),
    ('ticketdb.started', extract(epoch FROM pg_catalog.clock_timestamp())::text)
) AS s (setting, value);
