"""Where SQL is cut into statements: where PostgreSQL itself would cut it."""

import pglast
import pytest

from ticketdb.config import Variables
from ticketdb.migrate.chain import Revision, read_chain
from ticketdb.migrate.statements import split_statements
from ticketdb.paths import shipped_tree
from ticketdb.templates import render

CHAIN = read_chain(shipped_tree())
TEXTS = {
    "a body that is parsed": """
        CREATE FUNCTION f(a integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC
            SELECT CASE WHEN a > 0 THEN CASE a WHEN 1 THEN 1 END ELSE 2 END AS begin_atomic;
            SELECT a AS "end"; -- the end; of it
            SELECT 'END'; /* END; */
        END;
        SELECT 1;
    """,
    "a body without statements": "CREATE PROCEDURE p() begin  atomic END; SELECT 1;",
    "a transaction and a case": "BEGIN; SELECT CASE a WHEN 1 THEN 2 END FROM t; END; SELECT 1;",
    "comments in comments": "/* a /* b; ' */ ; */ SELECT 1 /* /* ; */ $$ */; SELECT /*/ ; */ 2;",
    "strings of all kinds": r"""
        SELECT 'a;''b', E'\';', e'\\', U&'x;', B'1', $$;$$, $a$;$$;$a$; SELECT 2;
    """,
    "words before strings": r"SELECT a LIKE'\', ';' FROM t; SELECT timE'10:00;';",
    "dollars in names": "SELECT a$b$ FROM t AS a$b$; SELECT $1;",
    "words that begin like others": """
        SELECT endless, casement, "BEGIN ATOMIC" FROM case_of_end; SELECT 1;
    """,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_statements_are_cut_where_the_parser_of_postgresql_cuts_them(text: str) -> None:
    parsed = [statement.strip() for statement in pglast.split(text)]
    assert len(parsed) > 1
    cut = split_statements(text)
    assert len(cut) == len(parsed)
    for ours, theirs in zip(cut, parsed, strict=True):
        assert ours.endswith(";")
        assert pglast.parse_sql(ours)[0].stmt == pglast.parse_sql(theirs)[0].stmt


@pytest.mark.parametrize("revision", CHAIN, ids=[revision.name for revision in CHAIN])
def test_every_revision_is_cut_into_its_statements(revision: Revision) -> None:
    for template in (revision.up, revision.down):
        text = render(template, Variables())
        assert len(split_statements(text)) == len(pglast.parse_sql(text))
