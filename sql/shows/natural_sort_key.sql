-- For place_seats(). Not a collation: builds of PostgreSQL without ICU have none that compares
-- digits as numbers.
CREATE OR REPLACE FUNCTION {{ internal_schema }}.natural_sort_key(p_label text)
RETURNS text
LANGUAGE sql
IMMUTABLE
STRICT
SET search_path = pg_catalog, pg_temp
AS $body$
SELECT
    CASE
        -- Rows A to Z and then AA, as halls count.
        WHEN p_label ~ '^[A-Za-z]{1,2}$' THEN lpad(upper(p_label), 2)
        ELSE (
            SELECT
                string_agg(
                    CASE
                        -- The length first: of two numbers the longer one is the greater.
                        WHEN part.text ~ '^[0-9]'
                            THEN to_char(length(number.digits), 'FM0000') || number.digits
                        ELSE upper(part.text)
                    END,
                    '' ORDER BY part.place
                )
            FROM regexp_matches(p_label, '[0-9]+|[^0-9]+', 'g')
                WITH ORDINALITY AS parts (found, place)
            CROSS JOIN LATERAL (SELECT parts.found[1], parts.place) AS part (text, place)
            CROSS JOIN LATERAL (SELECT ltrim(part.text, '0')) AS number (digits)
        )
    END;
$body$;

COMMENT ON FUNCTION {{ internal_schema }}.natural_sort_key(text) IS
'A text by which labels of rows and numbers of seats sort in natural order, with COLLATE "C": 2 '
'before 10, Z before AA.';
