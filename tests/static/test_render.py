"""Templates: whatever a name is made of, it comes out as one token, or not at all."""

import string
from typing import Any

import pglast
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticketdb.config import Variables, parse_variables
from ticketdb.errors import TicketdbError
from ticketdb.migrate.statements import split_statements
from ticketdb.templates import render

# What has broken templates before, besides every character there is.
AWKWARD = st.sampled_from(
    ['"', "'", "''", "\\", "$", "$$", "$body$", ";", "--", "/*", "*/", "{{", "%}", "%s", ":x", "E'"]
) | st.sampled_from([" ", "\n", "\x00", "\u202e", "ß", "ﬀ", "\U0001f3ab", "pg_", "DROP SCHEMA x"])
HOSTILE = st.lists(AWKWARD | st.characters() | st.sampled_from(string.ascii_letters), max_size=40)

# An identifier, a literal, and both inside a function body, as the shipped templates have them.
TEMPLATE = """\
CREATE TABLE {{ schema }}.t (id integer);
CREATE FUNCTION {{ schema }}.f() RETURNS text LANGUAGE sql AS $body$
    SELECT {{ cleanup_job }} FROM {{ schema }}.t WHERE {{ schema | literal }} <> ''
$body$;
SELECT {{ schema | literal }}, {{ cleanup_job }};
"""


def parsed(sql: str) -> list[Any]:
    """The statements, as pglast's trees: what a node has depends on what it is."""
    return [statement.stmt for statement in pglast.parse_sql(sql)]


@settings(max_examples=1000, deadline=None)
@given(schema=HOSTILE.map("".join), job=HOSTILE.map("".join))
def test_a_hostile_name_is_one_token_or_refused(schema: str, job: str) -> None:
    try:
        variables = parse_variables(
            {"variables": {"schema": schema, "cleanup_job": job}}, "ticketdb.toml"
        )
    except TicketdbError:
        return
    table, function, select = parsed(render(TEMPLATE, variables))
    assert table.relation.schemaname == schema
    assert function.funcname[0].sval == schema
    assert [column.val.val.sval for column in select.targetList] == [schema, job]
    body = function.options[1].arg[0].sval
    (inner,) = parsed(body)
    assert inner.targetList[0].val.val.sval == job
    assert inner.fromClause[0].schemaname == schema
    assert inner.whereClause.lexpr.val.sval == schema


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{ 'text' }}", "'text' may not be written"),
        ("{{ 1 }}", "1 may not be written"),
        ("{{ schema.name }}", "may not be written"),
        ("{{ schema ~ cleanup_job }}", "may not be written"),
        ("{{ manage_roles }}", "True may not be written"),
        ("{{ 'text' | literal }}", "takes the name of"),
        ("{{ schemas }}", "'schemas' is undefined"),
        ("{% if schemas %}{% endif %}", "'schemas' is undefined"),
        ("{{ schema | upper }}", "No filter named 'upper'"),
        ("{{ range(3) }}", "'range' is undefined"),
        ("{{ ().__class__ }}", "unsafe"),
        ("{{ schema.__class__ }}", "unsafe|may not be written"),
        ("{% include 'other.sql' %}", "no loader"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("\n\n{{ schema", r"shows\.sql:3: unexpected end"),
    ],
)
def test_anything_but_a_variable_is_refused(template: str, message: str) -> None:
    with pytest.raises(TicketdbError, match=message) as caught:
        render(template, Variables(), "shows.sql")
    assert caught.value.code == "E_TEMPLATE"


def test_what_is_no_placeholder_is_left_as_it_is() -> None:
    text = "\tSELECT '{\"a\":true}', '%s %', arr[:2], '(?:x)', E'\\\\n'; \n\n"
    assert render(text, Variables()) == text


def test_conditions_follow_the_flag() -> None:
    template = "{% if manage_roles %}GRANT{% endif %}"
    assert render(template, Variables()) == "GRANT"
    assert render(template, Variables(manage_roles=False)) == ""


def test_a_backslash_means_itself_under_either_setting_of_standard_conforming_strings() -> None:
    assert render("{{ cleanup_job }}", Variables(cleanup_job="a\\'b")).strip() == "E'a\\\\''b'"


def test_statements_are_cut_where_postgresql_cuts_them() -> None:
    text = """\
-- a comment; with a semicolon
SELECT ';', E'\\';', "a;b", $$ ; $$, $x$ ; $$ ; $x$ /* ; */ -- ;
FROM t;
DO $body$ BEGIN NULL; END; $body$;
"""
    statements = split_statements(text)
    assert len(statements) == len(pglast.parse_sql(text)) == 2
    assert statements[1] == "DO $body$ BEGIN NULL; END; $body$;"
