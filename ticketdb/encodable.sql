-- Fails if the database has no place for a character, given as the digits of its UTF-8: sent as it is, it would fail
-- before anything could be asked.
SELECT
    convert(decode({{ digits }}, 'hex'), 'UTF8', getdatabaseencoding()) AS encoded
