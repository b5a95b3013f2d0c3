"""The gate finds nothing in what is shipped, and every mistake that is put into it."""

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.databases import REQUIRE_PG_CRON, skip_without
from ticketdb.database import settings_sql
from ticketdb.develop import lint
from ticketdb.develop.lint import (
    HOSTILE,
    Finding,
    Template,
    all_templates,
    count_of,
    examine,
    examine_functions,
    revision_templates,
    source_templates,
    squawk,
)
from ticketdb.migrate.chain import read_chain
from ticketdb.paths import Tree, shipped_tree
from ticketdb.private_server import Cluster

TREE = shipped_tree()
TEMPLATES = {template.file: template for template in all_templates(TREE)}
REVISIONS = revision_templates(TREE)
FIRST, THIRD, LAST = (
    f"migrations/versions/{read_chain(TREE)[number].name}" for number in (0, 2, -1)
)
SHOWS = "sql/shows/shows.sql"


def broken(file: str, more: str) -> tuple[Template, int]:
    """A shipped file with this at its end, and the line on which that begins."""
    template = TEMPLATES[file]
    return replace(template, text=template.text + more), template.text.count("\n") + 1


def places(findings: Iterable[Finding]) -> list[tuple[str, int, str]]:
    return [(finding.file, finding.line, finding.rule) for finding in findings]


def test_nothing_is_found_in_what_is_shipped() -> None:
    assert len(TEMPLATES) > len(REVISIONS) > 0
    assert [finding for template in TEMPLATES.values() for finding in examine(template)] == []
    assert squawk(REVISIONS) == []


@pytest.mark.parametrize(
    ("file", "text", "rule", "reason"),
    [
        (SHOWS, "SELEC 1;\n", "syntax", 'error at or near "SELEC"'),
        (SHOWS, "SELECT 'é;\n", "syntax", "unterminated quoted"),
        (SHOWS, "SELECT {{ schem }};\n", "E_TEMPLATE", "'schem' is undefined"),
        (SHOWS, "SELECT {{ 'x' }};\n", "E_TEMPLATE", "'x' may not be written into SQL"),
        (SHOWS, "{% if manage_roles %}\n", "E_TEMPLATE", "end of template"),
        (f"{FIRST}.up.sql", "COMMIT;\n", "TransactionStmt", "is one transaction"),
        (f"{THIRD}.down.sql", "SET LOCAL lock_timeout = 0;\n", "VariableSetStmt", "`apply` sets"),
        (SHOWS, "CREATE INDEX ON {{ schema }}.halls (id);\n", "object", "is not about shows"),
        (SHOWS, "CREATE SCHEMA shows;\n", "object", "does not belong beside CreateStmt"),
    ],
)
def test_what_is_wrong_is_reported_with_file_and_line(
    file: str, text: str, rule: str, reason: str
) -> None:
    template, line = broken(file, text)
    (finding,) = examine(template)
    assert places([finding]) == [(file, line, rule)]
    assert reason in finding.message
    assert str(finding).startswith(f"{file}:{line}: {rule}: ")


def test_a_file_that_makes_two_objects_is_refused() -> None:
    template, _ = broken(SHOWS, "CREATE TABLE {{ schema }}.shows_of_old (id uuid);\n")
    (finding,) = examine(template)
    assert str(finding) == (
        f"{SHOWS}:1: object: 2 times CreateStmt: a file creates the one object that it is named for"
    )


def test_a_file_without_a_create_does_little() -> None:
    assert list(examine(Template("sql/jobs/x.sql", "SELECT 1;\n"))) == []
    (finding,) = examine(Template("sql/jobs/x.sql", "DELETE FROM {{ schema }}.shows;\n"))
    assert "DeleteStmt does not belong beside what has no CREATE" in finding.message


def test_a_name_that_could_end_the_literal_around_it_is_a_statement_too_many() -> None:
    text = "COMMENT ON TABLE {{ schema }}.shows IS\n'{{ monitoring_schema }}';\n"
    template, line = broken(SHOWS, text)
    injection, token = examine(template)
    assert places([injection, token]) == [(SHOWS, 1, "injection"), (SHOWS, line + 1, "token")]
    assert "hostile names make" in injection.message
    assert "stands within" in token.message


@pytest.mark.parametrize(
    "text",
    [
        "/* of {{ cleanup_job }} */\n",
        "-- of {{ schema }}\n",
        "DO $body$ BEGIN EXECUTE 'DROP TABLE {{ schema }}.shows'; END; $body$;\n",
        "DO $body$ BEGIN EXECUTE $x$ SELECT '{{ schema }}', 'shows' $x$; END; $body$;\n",
    ],
)
def test_a_name_within_something_longer_is_found_where_no_parser_objects(text: str) -> None:
    template, line = broken(f"{LAST}.up.sql", text)
    assert (template.file, line, "token") in places(examine(template))


def test_where_our_splitter_and_postgresql_disagree_the_template_is_refused() -> None:
    """PostgreSQL's comments nest however deep; split_statements() stops somewhere."""
    template, _ = broken(SHOWS, f"{'/* ' * 20} ; {'*/ ; ' * 20}\n")
    (finding,) = examine(template)
    assert (finding.file, finding.rule) == (SHOWS, "statements")
    assert "split_statements() " in finding.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 0), ("-- x\n", 0), ("SELECT 1", 1), ("SELECT 1;", 1), ("SELECT ';' -- ;\n", 1)],
)
def test_the_last_statement_counts_with_or_without_its_semicolon(text: str, expected: int) -> None:
    assert count_of(text) == expected


FUNCTION = (
    "CREATE OR REPLACE {kind} {{{{ schema }}}}.odd({arguments})\n"
    "{clauses}\nAS $body$\n{body}\n$body$;\n"
)
PINNED = "LANGUAGE plpgsql\nSET search_path = pg_catalog, pg_temp"
SETS = "PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);"


def about_odd(
    body: str, clauses: str = PINNED, kind: str = "FUNCTION", arguments: str = ""
) -> list[tuple[int, str]]:
    """What is found in a file of one function: line and rule."""
    clauses = f"RETURNS void\n{clauses}" if kind == "FUNCTION" else f"\n{clauses}"
    text = FUNCTION.format(kind=kind, arguments=arguments, clauses=clauses, body=body)
    found = examine(Template("sql/shows/odd.sql", text))
    return [(finding.line, finding.rule) for finding in found]


def test_a_function_with_its_path_and_its_schemas_passes() -> None:
    body = "DECLARE\n    v_show {{ schema }}.shows;\nBEGIN\n"
    body += "    PERFORM {{ internal_schema }}.uuid_v7();\nEND;"
    assert about_odd(body) == []


@pytest.mark.parametrize(
    "clauses",
    [
        "LANGUAGE plpgsql",
        "LANGUAGE plpgsql\nSECURITY DEFINER\nSET search_path = pg_catalog",
        "LANGUAGE plpgsql\nSET search_path = pg_temp, pg_catalog",
        "LANGUAGE plpgsql\nSET search_path = {{ schema }}, pg_temp",
        "LANGUAGE plpgsql\nSET lock_timeout = '1s'",
    ],
)
def test_a_function_without_the_path_is_refused(clauses: str) -> None:
    assert about_odd("BEGIN END;", clauses) == [(1, "search_path")]


def test_a_body_that_is_resolved_when_it_is_made_needs_no_path() -> None:
    text = "CREATE OR REPLACE FUNCTION {{ schema }}.odd()\nRETURNS integer\nRETURN 1 + 1;\n"
    assert list(examine(Template("sql/shows/odd.sql", text))) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"BEGIN {SETS} COMMIT; {SETS} END;", []),
        ("BEGIN COMMIT; END;", [(1, "search_path")]),
        ("BEGIN NULL; END;", [(1, "search_path")]),
    ],
)
def test_a_procedure_that_commits_sets_its_path(body: str, expected: list[object]) -> None:
    assert about_odd(body, "LANGUAGE plpgsql", "PROCEDURE") == expected


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("PERFORM 'x' ~ '\\S';", "backslash"),
        ("PERFORM E'\\n';", "backslash"),
        ("PERFORM 'é';", "ascii"),
        ("-- é", "ascii"),
        ("PERFORM uuid_v7();", "unqualified"),
        ("PERFORM FROM shows AS show;", "unqualified"),
        ("PERFORM FROM {{ schema }}.tickets AS t JOIN shows AS s ON true;", "unqualified"),
        ("INSERT INTO shows DEFAULT VALUES;", "unqualified"),
        ("UPDATE shows SET name = 'x';", "unqualified"),
        ("PERFORM NULL::shows;", "unqualified"),
        ("PERFORM FROM alerts AS a;", "unqualified"),
    ],
)
def test_what_depends_on_the_session_is_refused(statement: str, rule: str) -> None:
    assert about_odd(f"BEGIN\n    {statement}\nEND;") == [(7, rule)]


def test_a_variable_of_a_type_without_its_schema_is_refused() -> None:
    assert about_odd("DECLARE\n    v_show shows;\nBEGIN\nEND;") == [(7, "unqualified")]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {{ schema }}.shows SET name = 'x' WHERE shows.id = NULL;",
        "WITH tickets AS (SELECT 1) SELECT FROM tickets INTO v_x;",
        "PERFORM FROM {{ internal_schema }}.partitioned_logs() AS window_start (at);",
        "SELECT 1 INTO active_reservations;",
        "-- it is \\ not in the code",
    ],
)
def test_what_only_looks_like_it_passes(statement: str) -> None:
    assert about_odd(f"BEGIN\n    {statement}\nEND;") == []


def test_the_packages_own_queries_are_ascii_too() -> None:
    (finding,) = examine(Template("ticketdb/state.sql", "SELECT 1;\n-- …\n"))
    assert places([finding]) == [("ticketdb/state.sql", 2, "ascii")]


def test_lines_stay_where_they_are_when_a_template_is_rendered() -> None:
    for template in [*source_templates(TREE), *REVISIONS]:
        rendered = template.rendered(HOSTILE)
        assert rendered.count("\n") == template.text.count("\n"), template.file


def test_revisions_without_a_lock_timeout_are_refused() -> None:
    settings = settings_sql(patient=True, lock_timeout=2.0)
    assert squawk(REVISIONS, settings) == []
    found = squawk(REVISIONS, settings.replace("'lock_timeout'", "'deadlock_timeout'"))
    assert {finding.rule for finding in found} == {"require-lock-timeout"}
    assert f"{THIRD}.up.sql" in {finding.file for finding in found}


def test_an_index_on_a_table_of_an_earlier_revision_is_made_concurrently_or_refused() -> None:
    # That table is of this revision: nobody uses it yet.
    template, _ = broken(
        f"{THIRD}.up.sql", "CREATE INDEX ON {{ schema }}.seat_reservations (email);\n"
    )
    assert squawk([template]) == []
    template, line = broken(f"{THIRD}.up.sql", "CREATE INDEX ON {{ schema }}.shows (venue);\n")
    (finding,) = squawk([template])
    assert places([finding]) == [(template.file, line, "require-concurrent-index-creation")]
    assert "concurrently" in finding.message


def test_concurrently_has_no_place_in_a_transaction() -> None:
    text = "CREATE INDEX CONCURRENTLY IF NOT EXISTS x ON {{ schema }}.shows (venue);\n"
    template, line = broken(f"{THIRD}.up.sql", text)
    rule = "ban-concurrent-index-creation-in-transaction"
    assert places(squawk([template])) == [(template.file, line, rule)]


def outside(statement: str) -> Template:
    """A revision of one statement that no transaction is around."""
    text = f"-- 0099: More.\n-- outside a transaction\n\n-- alter: shows/shows.sql\n{statement}\n"
    return Template("migrations/versions/0099_more.up.sql", text)


def test_outside_a_transaction_a_statement_must_bear_to_be_run_again() -> None:
    statement = "CREATE INDEX CONCURRENTLY {}shows_venue_idx ON {{{{ schema }}}}.shows (venue);"
    assert squawk([outside(statement.format("IF NOT EXISTS "))]) == []
    (finding,) = squawk([outside(statement.format(""))])
    assert places([finding]) == [("migrations/versions/0099_more.up.sql", 5, "prefer-robust-stmts")]


def test_what_takes_data_away_is_for_the_way_back_only() -> None:
    dropping = "DROP TABLE {{ schema }}.shows;\n"
    template, _ = broken(f"{THIRD}.down.sql", dropping)
    assert squawk([template]) == []
    template, line = broken(f"{THIRD}.up.sql", dropping)
    assert places(squawk([template])) == [(template.file, line, "ban-drop-table")]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """The shipped tree, to be broken."""
    copy = Tree(tmp_path / "sql", tmp_path / "migrations")
    shutil.copytree(TREE.sql, copy.sql)
    shutil.copytree(TREE.migrations, copy.migrations)
    return copy


@pytest.fixture
def add_function(tree: Tree) -> Callable[[str], None]:
    """Writes a file with a function `odd`, whose body is given."""

    def add(body: str) -> None:
        (tree.sql / "shows" / "odd.sql").write_text(
            "-- For a test.\nCREATE OR REPLACE FUNCTION {{ schema }}.odd()\nRETURNS bigint\n"
            "LANGUAGE plpgsql\nSET search_path = pg_catalog, pg_temp\n"
            f"AS $body$\n{body}\n$body$;\n",
            encoding="utf-8",
        )
        order = tree.sql / "order.toml"
        listed = order.read_text(encoding="utf-8").replace("\n]", '\n    "shows/odd.sql",\n]')
        order.write_text(listed, encoding="utf-8")

    return add


def test_functions_are_checked_on_a_server_of_the_gates_own(
    tree: Tree,
    add_function: Callable[[str], None],
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skip_without(cluster.binaries, "plpgsql_check", "pg_cron")
    add_function(
        "DECLARE\n    v_unused bigint;\nBEGIN\n"
        "    RETURN (SELECT s.nonsense FROM public.shows AS s);\nEND;"
    )
    monkeypatch.setattr(lint, "shipped_tree", lambda: tree)
    monkeypatch.setattr(lint, "find_server_binaries", lambda: cluster.binaries)
    assert lint.main() == 1
    printed = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("sql/shows/odd.sql:10: plpgsql_check: ") and "nonsense" in line
        for line in printed
    )
    assert any("unused variable" in line and "v_unused" in line for line in printed)
    assert printed[-1].startswith(f"lint-migrations: {len(printed) - 1} findings")


def test_what_only_a_server_can_refuse_is_reported_with_file_and_line(
    tree: Tree,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skip_without(cluster.binaries, "plpgsql_check", "pg_cron")
    monkeypatch.setattr(lint, "shipped_tree", lambda: tree)
    monkeypatch.setattr(lint, "find_server_binaries", lambda: cluster.binaries)
    view = tree.sql / "monitoring" / "alerts.sql"
    view.write_text(view.read_text().replace("SELECT", "SELECT nonsense,", 1))
    assert lint.main() != 0
    printed = capsys.readouterr().err
    assert re.match(
        r'error \[\w+\]: sql/monitoring/alerts\.sql, line \d+: column "nonsense"', printed
    )


def test_an_unfinished_revision_is_reported_in_one_line(
    tree: Tree, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    up = read_chain(tree)[0].python_file.with_suffix(".up.sql")
    up.write_text(up.read_text() + "-- FILL IN: something\n")
    monkeypatch.setattr(lint, "shipped_tree", lambda: tree)
    assert lint.main() == 1
    assert capsys.readouterr().err.startswith("error [E_UNFILLED]: ")


@pytest.mark.parametrize("is_required", [False, True])
def test_where_the_extension_is_missing_the_reason_is_printed(
    is_required: bool,
    cluster: Cluster,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without = replace(cluster.binaries, has_plpgsql_check=False)
    monkeypatch.setattr(lint, "find_server_binaries", lambda: without)
    monkeypatch.setattr(lint, "all_templates", lambda _tree: [])
    monkeypatch.setenv(REQUIRE_PG_CRON, "1" if is_required else "0")
    assert lint.main() == (3 if is_required else 0)
    printed = capsys.readouterr()
    message = f"the server in {without.bindir} has no plpgsql_check"
    assert message in (printed.err if is_required else printed.out)


def test_a_finding_that_is_known_but_gone_is_one(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_without(cluster.binaries, "plpgsql_check", "pg_cron")
    monkeypatch.setattr(lint, "find_server_binaries", lambda: cluster.binaries)
    monkeypatch.setitem(lint.FINDINGS, ("reserve_seats", "is slow"), "for a test")
    (finding,) = examine_functions(TREE)
    assert finding.file == "sql/holds/reserve_seats.sql"
    assert "remove it from FINDINGS" in finding.message
