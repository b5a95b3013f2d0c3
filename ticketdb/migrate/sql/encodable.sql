-- Fails if the database cannot store a character, given as the hexadecimal digits of its UTF-8: the character itself
-- would fail before the query is parsed.
SELECT
    convert(decode({{ digits }}, 'hex'), 'UTF8', getdatabaseencoding()) AS encoded
