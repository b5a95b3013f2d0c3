"""Statements, and what a plan must say about each."""

from dataclasses import dataclass

# Things of the database's user, which revisions may meet.
SURROUNDINGS = """
    CREATE SCHEMA till;
    CREATE TABLE till.sales (id integer PRIMARY KEY, cents integer, note text, at timestamptz);
    CREATE TABLE till.refunds (id integer PRIMARY KEY, sale integer);
    CREATE TABLE till.unchecked (cents integer);
    ALTER TABLE till.unchecked ADD CONSTRAINT positive CHECK (cents > 0) NOT VALID;
    CREATE TABLE till.proven (cents integer, CONSTRAINT known CHECK (cents IS NOT NULL));
    CREATE TABLE till.pay_days (on_day date NOT NULL, cents integer) PARTITION BY LIST (on_day);
    CREATE TABLE till.pay_days_1 PARTITION OF till.pay_days FOR VALUES IN ('2026-01-01');
    CREATE TABLE till.pay_days_2 PARTITION OF till.pay_days FOR VALUES IN ('2026-02-01');
    CREATE INDEX pay_days_cents_idx ON till.pay_days (cents);
    CREATE TABLE till."Odd, ""na""me" (id integer);
    CREATE TABLE till.spare (id integer);
    CREATE TABLE till.leaving (at integer) PARTITION BY LIST (at);
    CREATE TABLE till.leaving_1 PARTITION OF till.leaving FOR VALUES IN (1);
    CREATE TABLE till.indexed (id integer);
    CREATE INDEX indexed_id_idx ON till.indexed (id);
    CREATE VIEW till.places AS SELECT venue FROM public.shows;
    CREATE VIEW till.shop_window AS SELECT id, name FROM public.shows;
    CREATE MATERIALIZED VIEW till.totals AS SELECT count(*) AS shows FROM public.shows;
    CREATE TABLE till.big AS SELECT generate_series(1, 1000000) AS id;
    CREATE TABLE till.heap (id integer) PARTITION BY HASH (id);
    CREATE TABLE till.heap_0 PARTITION OF till.heap FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE till.heap_1 PARTITION OF till.heap FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    INSERT INTO till.sales (id, cents, note) SELECT id, 1, 'x' FROM generate_series(1, 1200) AS id;
    ANALYZE till.big, till.sales;
    -- Each of them is small; only together they are not.
    UPDATE pg_class SET reltuples = 600000 WHERE relname IN ('heap_0', 'heap_1');
"""


@dataclass(frozen=True)
class Case:
    """A revision and what is expected of its last statement but the ledger's."""

    name: str
    sql: str
    expected: tuple[str, ...]
    outside: bool = False


def case(name: str, sql: str, *expected: str, outside: bool = False) -> Case:
    return Case(name, sql, expected, outside)


# Each line of what is expected ends with what is done to the relation besides locking it.
CASES = [
    case(
        "another type rewrites",
        "ALTER TABLE till.sales ALTER COLUMN cents TYPE bigint;",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
    ),
    case(
        "a wider varchar does not",
        "ALTER TABLE till.sales ADD COLUMN v varchar(3);"
        " ALTER TABLE till.sales ALTER COLUMN v TYPE varchar(5);",
        "ACCESS EXCLUSIVE on till.sales, held",
    ),
    case(
        "a constant default does not rewrite",
        "ALTER TABLE till.sales ADD COLUMN a integer NOT NULL DEFAULT 3;",
        "ACCESS EXCLUSIVE on till.sales",
    ),
    case(
        "a volatile default rewrites",
        "ALTER TABLE till.sales ADD COLUMN b timestamptz DEFAULT clock_timestamp();",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
    ),
    case(
        "a check scans",
        "ALTER TABLE till.sales ADD CONSTRAINT c CHECK (id > 0);",
        "ACCESS EXCLUSIVE on till.sales: scans",
    ),
    case(
        "a check that is not valid does not scan",
        "ALTER TABLE till.sales ADD CONSTRAINT d CHECK (id > 1) NOT VALID;",
        "ACCESS EXCLUSIVE on till.sales",
    ),
    case(
        "validating scans under a weaker lock",
        "ALTER TABLE till.unchecked VALIDATE CONSTRAINT positive;",
        "SHARE UPDATE EXCLUSIVE on till.unchecked: scans",
    ),
    case(
        "validating what is valid does not scan",
        "ALTER TABLE till.proven VALIDATE CONSTRAINT known;",
        "SHARE UPDATE EXCLUSIVE on till.proven",
    ),
    case(
        "not null scans",
        "ALTER TABLE till.sales ALTER COLUMN at SET NOT NULL;",
        "ACCESS EXCLUSIVE on till.sales: scans",
    ),
    case(
        "not null that is proven does not",
        "ALTER TABLE till.proven ALTER COLUMN cents SET NOT NULL;",
        "ACCESS EXCLUSIVE on till.proven",
    ),
    case(
        "an index scans while writers wait",
        "CREATE INDEX sales_note_idx ON till.sales (note);",
        "SHARE on till.sales: scans",
    ),
    case(
        "a foreign key locks both tables",
        "ALTER TABLE till.refunds ADD CONSTRAINT e FOREIGN KEY (sale) REFERENCES till.sales (id);",
        "SHARE ROW EXCLUSIVE on till.refunds: scans",
        "SHARE ROW EXCLUSIVE on till.sales",
    ),
    case(
        "a foreign key that is not valid does not scan",
        "ALTER TABLE till.refunds ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES till.sales (id)"
        " NOT VALID;",
        "SHARE ROW EXCLUSIVE on till.refunds",
        "SHARE ROW EXCLUSIVE on till.sales",
    ),
    case(
        "a trigger",
        "CREATE TRIGGER g BEFORE UPDATE ON till.sales"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
        "SHARE ROW EXCLUSIVE on till.sales",
    ),
    case(
        "a function locks no relation",
        "CREATE OR REPLACE FUNCTION {{ internal_schema }}.uuid_v7() RETURNS uuid LANGUAGE sql"
        " AS $$ SELECT gen_random_uuid() $$;",
    ),
    case(
        "a view reads its tables",
        "CREATE VIEW {{ monitoring_schema }}.h AS SELECT id FROM {{ schema }}.shows;",
        "ACCESS SHARE on public.shows",
    ),
    case(
        "an update writes, and reads all",
        "UPDATE till.refunds SET sale = 1;",
        "ROW EXCLUSIVE on till.refunds: scans",
    ),
    case(
        "emptying rewrites",
        "TRUNCATE till.refunds;",
        "ACCESS EXCLUSIVE on till.refunds: rewrites",
    ),
    case(
        "partitions are listed with their table",
        "ALTER TABLE till.pay_days ADD CONSTRAINT i CHECK (cents > 0);",
        "ACCESS EXCLUSIVE on till.pay_days and 2 of its partitions: scans",
    ),
    case(
        "a partition alone is listed alone",
        "ALTER TABLE till.pay_days_1 ADD CONSTRAINT j CHECK (cents > 1);",
        "ACCESS EXCLUSIVE on till.pay_days_1: scans",
    ),
    case(
        "an index that is locked harder than its table",
        "REINDEX INDEX till.indexed_id_idx;",
        "ACCESS EXCLUSIVE on till.indexed_id_idx: rewrites",
        "SHARE on till.indexed: scans",
    ),
    case(
        "a quoted name",
        'ALTER TABLE till."Odd, ""na""me" ADD COLUMN a integer;',
        'ACCESS EXCLUSIVE on till."Odd, ""na""me"',
    ),
    case(
        "dropping a view of the user's",
        "DROP VIEW till.shop_window;",
        "ACCESS EXCLUSIVE on till.shop_window: drops",
    ),
    case(
        "a column that a view of the user's is built on",
        "ALTER TABLE {{ schema }}.shows ALTER COLUMN venue TYPE varchar(400);",
        "ACCESS EXCLUSIVE on public.shows: rewrites",
    ),
    case(
        "what was dropped is not listed again",
        "DROP TABLE till.spare; ALTER TABLE {{ schema }}.shows ADD COLUMN k integer;",
        "ACCESS EXCLUSIVE on public.shows",
    ),
    case(
        "what the revision makes nobody else can lock",
        "CREATE TABLE till.fresh (id integer); CREATE INDEX fresh_idx ON till.fresh (id);",
    ),
    case(
        "a relation is held until the revision ends",
        "ALTER TABLE till.sales ADD COLUMN l integer;"
        " ALTER TABLE till.refunds ADD COLUMN l integer;"
        " CREATE INDEX sales_l_idx ON till.sales (l);",
        "ACCESS EXCLUSIVE on till.sales, held: scans",
    ),
    case(
        "a definition that changes under a lock that is held",
        "ALTER TABLE till.sales ADD COLUMN m integer; COMMENT ON COLUMN till.sales.m IS 'x';",
        "ACCESS EXCLUSIVE on till.sales, held",
    ),
    case(
        "a relation that is held and left alone is not listed",
        "ALTER TABLE till.sales ADD COLUMN n integer; SELECT count(*) FROM till.sales WHERE false;",
    ),
    case(
        "a block that runs statements",
        "DO $$ BEGIN EXECUTE 'ALTER TABLE till.sales ALTER COLUMN cents TYPE numeric'; END $$;",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
    ),
    case(
        "statements that share a transaction",
        "CREATE TEMPORARY TABLE o ON COMMIT DROP AS SELECT 1 AS id; SET LOCAL search_path = till;"
        " INSERT INTO proven (cents) SELECT id FROM o",  # nor does the last one need a semicolon
        "ROW EXCLUSIVE on till.proven",
    ),
    case(
        "an index built concurrently",
        "CREATE INDEX CONCURRENTLY sales_cents_idx ON till.sales (cents);",
        "SHARE UPDATE EXCLUSIVE on till.sales: scans",
        outside=True,
    ),
    case(
        "an index dropped concurrently",
        "DROP INDEX CONCURRENTLY till.sales_cents_idx;",
        "SHARE UPDATE EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "a table whose indexes are built anew concurrently",
        "REINDEX TABLE CONCURRENTLY till.indexed;",
        "SHARE UPDATE EXCLUSIVE on till.indexed: scans",
        outside=True,
    ),
    case(
        "a partition detached concurrently",
        "ALTER TABLE till.leaving DETACH PARTITION till.leaving_1 CONCURRENTLY;",
        "ACCESS EXCLUSIVE on till.leaving_1",
        "SHARE UPDATE EXCLUSIVE on till.leaving",
        outside=True,
    ),
    case(
        "a vacuum, which waits for nobody who writes",
        "VACUUM till.sales;",
        "SHARE UPDATE EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "a full vacuum",
        "VACUUM FULL till.sales;",
        "ACCESS EXCLUSIVE on till.sales: rewrites",
        outside=True,
    ),
    case(
        "a statement that could do with a transaction",
        "ALTER TABLE till.sales ADD COLUMN p integer;",
        "ACCESS EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "each statement outside a transaction begins with no lock",
        "ALTER TABLE till.sales ADD COLUMN q integer; ALTER TABLE till.sales ADD COLUMN r integer;",
        "ACCESS EXCLUSIVE on till.sales",
        outside=True,
    ),
    case(
        "a large table",
        "ALTER TABLE till.big ADD COLUMN a integer;",
        "ACCESS EXCLUSIVE on till.big",
    ),
    case(
        "a large table rewritten",
        "ALTER TABLE till.big ALTER COLUMN id TYPE bigint;",
        "ACCESS EXCLUSIVE on till.big: rewrites",
    ),
    case(
        "a large table by another name",
        "ALTER TABLE till.big RENAME TO huge; CREATE INDEX huge_idx ON till.huge (id);",
        "ACCESS EXCLUSIVE on till.big, held: scans",
    ),
    case(
        "a large table after it was renamed",
        "CREATE INDEX huge_again_idx ON till.huge (id);",
        "SHARE on till.huge: scans",
    ),
    case(
        "a large table locked lightly",
        "CREATE INDEX CONCURRENTLY huge_once_more_idx ON till.huge (id);",
        "SHARE UPDATE EXCLUSIVE on till.huge: scans",
        outside=True,
    ),
    case(
        "a table that is large with its partitions",
        "ALTER TABLE till.heap ADD CONSTRAINT s CHECK (id > 0);",
        "ACCESS EXCLUSIVE on till.heap and 2 of its partitions: scans",
    ),
    case(
        "a partition that is not",
        "ALTER TABLE till.heap_0 ADD CONSTRAINT t CHECK (id > 0);",
        "ACCESS EXCLUSIVE on till.heap_0: scans",
    ),
]
