-- What every revision runs under, whatever the settings of the role and the database are. With
-- this search path an unqualified name is an error instead of a guess.
SET LOCAL client_min_messages = warning;
SET LOCAL standard_conforming_strings = on;
SET LOCAL search_path = pg_catalog, pg_temp;
SET LOCAL timezone = 'UTC';
SET LOCAL lock_timeout = {{ lock_timeout }};
SET LOCAL statement_timeout = {{ statement_timeout }};
