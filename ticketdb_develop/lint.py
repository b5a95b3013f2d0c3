"""The gate that sql/ and the revisions pass before a server sees them.

Three tools, each for what the others cannot know:

- PostgreSQL's parser (pglast): a template is the statements that it looks like, whatever the names
  are that are filled in; a file of ``sql/`` is about the object whose name it bears.
- squawk: no revision takes a lock on a table in use without a lock timeout, or without
  CONCURRENTLY. Which rules are off, and why, is in ``.squawk.toml``.
- plpgsql_check, on a private server: what a function's body does when it runs.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from traceback import extract_tb
from typing import Any

import psycopg
from pglast.parser import ParseError, parse_sql, scan

from ticketdb.catalog import PLACEHOLDERS
from ticketdb.cluster import find_server_binaries, private_cluster
from ticketdb.config import NAMES, Variables
from ticketdb.database import settings_sql
from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.migrate import runs_outside, split_statements
from ticketdb.render import render
from ticketdb.resources import PACKAGE, Tree, shipped_tree
from ticketdb.revision import read_chain
from ticketdb_develop import build_from_sources

ROOT = PACKAGE.parent
SQUAWK_RULES = ROOT / ".squawk.toml"
REQUIRE_EXTENSIONS = "TICKETDB_REQUIRE_PG_CRON"  # as for the tests that need them
NOT_HERE = ("E_NO_SERVER", "E_NO_SERVER_USER", "E_NO_EXTENSION")

# Each name would end the token that it stands in, if that were not the quoted name alone.
HOSTILE = Variables(
    schema='"; DROP SCHEMA a; --',
    monitoring_schema="'; DROP SCHEMA b; --",
    app_role="*/; DROP ROLE c; /*",
    monitor_role="\\'; DROP ROLE d; --",
    dashboard_role="''); DROP ROLE e; --",
    datadog_role='"); DROP ROLE f; --',
    cleanup_job="'; SELECT 1; --",
    cleanup_schedule='"; SELECT 2; --',
    rollup_job="*/; SELECT 3; /*",
    rollup_schedule="\\'; SELECT 4; --",
    invariants_job="''); SELECT 5; --",
    invariants_schedule='"); SELECT 6; --',
    partition_job="\\\\'; SELECT 7; --",
    partition_schedule="%'; SELECT 8; --",
    purge_job="}}'; SELECT 9; --",
    purge_schedule="'; SELECT 10; /*",
)

# What the files of a folder of sql/ make, and what may stand beside it, by PostgreSQL's names for
# kinds of statements.
MAKES = {
    "tables": "CreateStmt",
    "functions": "CreateFunctionStmt",
    "views": "ViewStmt",
    "triggers": "CreateTrigStmt",
    "schemas": "CreateSchemaStmt",
    "roles": "DoStmt",
    "jobs": "SelectStmt",
}
BESIDES = {
    "tables": {"AlterTableStmt", "CommentStmt", "CreateTrigStmt", "GrantStmt"}
    | {"IndexStmt", "InsertStmt"},
    "functions": {"CommentStmt", "GrantStmt"},
    "views": {"CommentStmt", "GrantStmt"},
    "triggers": {"AlterTableStmt", "CommentStmt"},
    "schemas": {"CommentStmt"},
    "roles": {"GrantStmt"},
    "jobs": set[str](),
}
UNNAMED = ("roles", "jobs")  # make no object that could bear the file's name
NOT_FOR_REVISIONS = {
    "TransactionStmt": "a revision is one transaction, which `apply` begins and ends",
    "VariableSetStmt": "what a revision runs under, `apply` says (ticketdb/settings.sql)",
}

# A quoted name, or a quoted text, that is a placeholder and nothing else.
PLACEHOLDER_TOKEN = re.compile(r"([\"'])zz_\w+_zz\1")
SETTING = re.compile(r"\('(\w+)', ('[^']*')\)")  # in ticketdb/settings.sql
DOLLAR_QUOTED = re.compile(r"(\$\w*\$)(.*)\1", re.DOTALL)

# plpgsql_check's complaints, each with the reason why it stays.
FINDINGS = {
    ("revoke_default_privileges", "text type variable is not sanitized"): "made by format() and %I",
    ("create_log_partition", "routine is marked as VOLATILE, should be STABLE"): "makes tables",
}
PLPGSQL_CHECK = """
    SELECT p.proname::text AS function, c.message, c.detail, COALESCE(c.lineno, 1) AS line
    FROM pg_proc AS p
    CROSS JOIN LATERAL (
        SELECT 0 AS relid, NULL AS old_table, NULL AS new_table
        WHERE p.prorettype <> 'trigger'::regtype
        UNION
        SELECT t.tgrelid, t.tgoldtable, t.tgnewtable
        FROM pg_trigger AS t
        WHERE t.tgfoid = p.oid AND NOT t.tgisinternal
    ) AS r
    CROSS JOIN LATERAL plpgsql_check_function_tb(
        p.oid, r.relid, fatal_errors := false, all_warnings := true,
        oldtable := r.old_table, newtable := r.new_table
    ) AS c
    WHERE p.prolang = (SELECT oid FROM pg_language WHERE lanname = 'plpgsql')
        AND p.pronamespace = ANY(%s::regnamespace[])
        AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = p.oid AND d.deptype = 'e')
    ORDER BY 1, 4, 2
"""


@dataclass(frozen=True)
class Finding:
    """Something that keeps the gate shut."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {' '.join(self.message.split())}"


@dataclass(frozen=True)
class Template:
    """A file of SQL with variables in it. `file`: its path, from the top of the tree."""

    file: str
    text: str

    @property
    def is_revision(self) -> bool:
        return self.file.endswith((".up.sql", ".down.sql"))

    def rendered(self, variables: Variables) -> str:
        """Filled in, with the lines where they were: no name may hold the end of a line."""
        more = {}
        if self.file.startswith("ticketdb/"):  # ticketdb's own queries know more than the variables
            words = {*re.findall(r"\w+", "".join(re.findall(r"{[{%].*?[%}]}", self.text)))}
            more = {w: variables.cleanup_job.replace("cleanup_job", w) for w in words - {*NAMES}}
        return render(self.text, variables, self.file, **more)


@dataclass(frozen=True)
class Statement:
    """One of a file. `kind`: PostgreSQL's name for it; `words`: its names and key words."""

    kind: str
    line: int
    words: frozenset[str]


def source_templates(tree: Tree) -> list[Template]:
    """The files of ``sql/``."""
    return [
        Template(f"sql/{file.relative_to(tree.sql)}", file.read_text(encoding="utf-8"))
        for file in sorted(tree.sql.rglob("*.sql"))
    ]


def revision_templates(tree: Tree) -> list[Template]:
    """The two files of each revision. Raises E_CHAIN or E_UNFILLED."""
    return [
        Template(f"migrations/versions/{revision.name}.{direction}.sql", text)
        for revision in read_chain(tree)
        for direction, text in (("up", revision.up), ("down", revision.down))
    ]


def own_templates() -> list[Template]:
    """What ticketdb asks and says by itself. Scripts for psql hold commands that are not SQL."""
    files = [file for file in sorted(PACKAGE.glob("*.sql")) if not file.name.startswith("script_")]
    return [Template(f"ticketdb/{file.name}", file.read_text(encoding="utf-8")) for file in files]


def all_templates(tree: Tree) -> list[Template]:
    return [*source_templates(tree), *revision_templates(tree), *own_templates()]


def examine(template: Template) -> Iterator[Finding]:
    """What PostgreSQL's parser says about a template."""
    try:
        text = template.rendered(Variables())
        found = statements(text)
        yield from statements_are_what_they_seem(template, text, found)
        yield from names_are_tokens(template)
        yield from file_is_about_its_object(template, found)
        yield from nothing_is_left_to_apply(template, found)
    except TicketdbError as error:
        cause = error.__context__ or error
        lines = [f.lineno for f in extract_tb(cause.__traceback__) if f.filename == "<template>"]
        line = next(reversed(lines), None) or getattr(cause, "lineno", None) or 1
        message = error.message.removeprefix(template.file).lstrip(":0123456789 ")
        yield Finding(template.file, line, error.code, message)
    except ParseError as error:
        message, *position = error.args
        line = line_of(template.rendered(Variables()), *position)
        yield Finding(template.file, line, "syntax", message)


def line_of(text: str, position: int = 0) -> int:
    return text.count("\n", 0, position) + 1


def tokens(text: str) -> Iterator[tuple[int, str]]:
    """PostgreSQL's tokens and comments with their places: of a dollar-quoted body, those in it."""
    for token in scan(text):
        piece = text[token.start : token.end + 1]
        if body := DOLLAR_QUOTED.fullmatch(piece):
            start = token.start + body.start(2)
            yield from ((start + place, within) for place, within in tokens(body[2]))
        else:
            yield token.start, piece


def statements(text: str) -> list[Statement]:
    """The statements that PostgreSQL finds. Raises ParseError."""
    found = []
    for parsed in parse_sql(text):
        start, kind = parsed.stmt_location or 0, type(parsed.stmt).__name__
        piece = text[start : start + parsed.stmt_len if parsed.stmt_len else None]
        words = frozenset(token.strip('"') for _, token in tokens(piece))
        found.append(Statement(kind, line_of(text, start), words))
    return found


def count_of(text: str) -> int:
    """How many statements split_statements() finds; the last one may do without its semicolon."""
    code = [token for _, token in tokens(text) if not token.startswith(("--", "/*"))]
    return len(split_statements(text)) + (code[-1:] not in ([], [";"]))


def statements_are_what_they_seem(
    template: Template, text: str, found: list[Statement]
) -> Iterator[Finding]:
    """A template is as many statements as are written in it, of the same kinds under any names."""
    kinds = [statement.kind for statement in found]
    if len(kinds) != (ours := count_of(text)):
        message = f"PostgreSQL finds {len(kinds)} statements, split_statements() {ours}"
        yield Finding(template.file, 1, "statements", message)
    try:
        hostile = [statement.kind for statement in statements(template.rendered(HOSTILE))]
    except ParseError as error:
        yield Finding(template.file, 1, "injection", f"hostile names end in a {error.args[0]}")
        return
    if hostile != kinds:
        message = f"hostile names make {len(hostile)} statements of {len(kinds)}"
        yield Finding(template.file, 1, "injection", message)


def names_are_tokens(template: Template) -> Iterator[Finding]:
    """Each variable is a token of its own: not a part of a literal, a comment or a longer name."""
    text = template.rendered(PLACEHOLDERS)
    for place, token in tokens(text):
        if "zz_" in token and not PLACEHOLDER_TOKEN.fullmatch(token):
            message = f"a variable stands within {token[:60]!r} instead of by itself"
            yield Finding(template.file, line_of(text, place), "token", message)


def file_is_about_its_object(template: Template, found: list[Statement]) -> Iterator[Finding]:
    """One statement makes the object that the file is named for; the others are about it."""
    top, *folders, name = template.file.split("/")
    if top != "sql" or not folders:
        return
    folder, stem = "/".join(folders), Path(name).stem
    if folder not in MAKES:
        message = f"nobody knows what files of {folder}/ hold: say so in MAKES and BESIDES"
        yield Finding(template.file, 1, "object", message)
        return
    for statement in found:
        if statement.kind not in BESIDES[folder] | {MAKES[folder]}:
            message = f"{statement.kind} has no place in {folder}/, which is for {MAKES[folder]}"
            yield Finding(template.file, statement.line, "object", message)
        elif folder not in UNNAMED and not any(
            word == stem or word.startswith(f"{stem}_") for word in statement.words
        ):
            message = f"{statement.kind} is not about {stem}"
            yield Finding(template.file, statement.line, "object", message)
    made = sum(statement.kind == MAKES[folder] for statement in found)
    if made == 0 or (made > 1 and folder != "triggers"):
        message = f"{MAKES[folder]} comes {made} times: a file makes the object it is named for"
        yield Finding(template.file, 1, "object", message)


def nothing_is_left_to_apply(template: Template, found: list[Statement]) -> Iterator[Finding]:
    """A revision does not do what `apply` does around it."""
    if template.is_revision:
        for statement in found:
            if reason := NOT_FOR_REVISIONS.get(statement.kind):
                yield Finding(template.file, statement.line, statement.kind, reason)


def squawk(revisions: list[Template], settings: str | None = None) -> list[Finding]:
    """What squawk says about revisions as `apply` sends them. `settings`: other than its own.

    The settings go before the first line, so that lines are those of the file; squawk knows them
    when they are SET, not when set_config() sets them.
    """
    if settings is None:
        settings = settings_sql(patient=True, lock_timeout=2.0)
    prefix = "".join(f"SET {n} = {value}; " for n, value in SETTING.findall(settings))
    off = tomllib.loads(SQUAWK_RULES.read_text(encoding="utf-8"))
    groups: defaultdict[tuple[str, ...], list[Template]] = defaultdict(list)
    for template in revisions:
        excluded = list(off["excluded_rules"])
        if template.file.endswith(".down.sql"):
            excluded += off["down"]["excluded_rules"]
        alone = ["--no-assume-in-transaction"] if runs_outside(template.text) else []
        groups[f"--exclude={','.join(excluded)}", *alone].append(template)
    findings = []
    for options, templates in groups.items():
        with tempfile.TemporaryDirectory(prefix="ticketdb-lint-") as folder:
            by_path = {str(Path(folder, Path(t.file).name)): t for t in templates}
            for path, template in by_path.items():
                text = prefix + template.rendered(Variables())
                Path(path).write_text(text, encoding="utf-8")
            for said in run_squawk(*options, *by_path):
                message = f"{said['message']} {said['help'] or ''}".strip()
                file = by_path[said["file"]].file
                findings.append(Finding(file, said["line"] + 1, said["rule_name"], message))
    return findings


def run_squawk(*arguments: str) -> list[dict[str, Any]]:
    """Its findings, as it gives them."""
    program = Path(sys.executable).with_name("squawk")
    fixed = (f"--config={SQUAWK_RULES}", "--reporter=json")
    done = subprocess.run(
        [program, *fixed, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"squawk failed: {done.stderr.strip()}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def plpgsql_findings(connection: psycopg.Connection[Any], schemas: list[str]) -> Iterator[Finding]:
    """What plpgsql_check says about the functions in these schemas, in quotes where SQL needs them.

    A finding that is known and stays is passed over; one that is known and gone is one of its own,
    because it would hide the next of its kind.
    """
    known = dict.fromkeys(FINDINGS, False)
    for function, message, detail, line in connection.execute(PLPGSQL_CHECK, [schemas]).fetchall():
        if (function, message) in known:
            known[function, message] = True
        else:
            told = f"{function}: {message} {detail or ''}"
            yield Finding(f"sql/functions/{function}.sql", line, "plpgsql_check", told)
    for (function, message), is_there in known.items():
        if not is_there:
            gone = f"{message!r} is not found any more: take it out of FINDINGS"
            yield Finding(f"sql/functions/{function}.sql", 1, "plpgsql_check", gone)


def examine_functions(tree: Tree) -> Iterator[Finding]:
    """Run plpgsql_check over what ``sql/`` builds on a private server.

    Raises TicketdbError where that cannot be: E_NO_SERVER, E_NO_EXTENSION; or where the server
    refuses a file, with its name and the line.
    """
    variables = Variables()
    binaries = find_server_binaries()
    # Some functions are about the tables of pg_cron, which must then be there.
    for name, present in (
        ("plpgsql_check", binaries.has_plpgsql_check),
        ("pg_cron", binaries.has_pg_cron),
    ):
        if not present:
            raise TicketdbError(
                "E_NO_EXTENSION", 3, f"the server in {binaries.bindir} has no {name}"
            )
    with private_cluster(binaries, cron_database="lint") as cluster:
        cluster.create_database("lint")
        build_from_sources(cluster.dsn("lint"), variables, tree)
        with psycopg.connect(cluster.dsn("lint"), autocommit=True) as connection:
            connection.execute("CREATE EXTENSION plpgsql_check")
            schemas = [variables.schema, variables.monitoring_schema]
            for finding in plpgsql_findings(connection, schemas):
                yield in_its_file(finding, tree)


def in_its_file(finding: Finding, tree: Tree) -> Finding:
    """Count the line from the top of the file instead of from where the function's body begins."""
    file = tree.sql / finding.file.removeprefix("sql/")
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    opening = re.search(r"^AS \$body\$", text, re.MULTILINE)
    before = line_of(text, opening.start()) - 1 if opening else 0
    return replace(finding, line=finding.line + before)


def main() -> int:
    tree = shipped_tree()
    try:
        templates = all_templates(tree)
        findings = [finding for template in templates for finding in examine(template)]
        findings += squawk(revision_templates(tree))
        if not findings:  # what the parser refuses cannot be built
            findings += examine_functions(tree)
    except TicketdbError as error:
        if error.code not in NOT_HERE or os.environ.get(REQUIRE_EXTENSIONS) == "1":
            print(error, file=sys.stderr)
            return error.exit_status
        print(f"plpgsql_check was left out: {error.message}")
    for finding in findings:
        print(finding)
    print(f"lint-migrations: {len(findings) or 'no'} findings in {len(templates)} files")
    return ExitStatus.CHECK_FAILED if findings else ExitStatus.OK
