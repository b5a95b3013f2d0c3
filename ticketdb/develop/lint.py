"""Static checks of sql/, of the revisions and of ticketdb's own queries.

Three tools, each for what the others cannot find:

- PostgreSQL's parser (pglast): whatever names are filled in, a template consists of the statements
  that it seems to; a file of ``sql/`` is about the object that it is named for.
- squawk: no revision takes a lock on a table in use without a lock timeout, or without
  CONCURRENTLY. Which rules are off, and why, is in ``.squawk.toml``.
- plpgsql_check, on a private server: errors that the body of a function would raise when it runs.
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
from functools import cache
from pathlib import Path
from traceback import extract_tb
from typing import Any

import psycopg
from pglast.parser import ParseError, parse_sql, scan

from ticketdb.catalog import PLACEHOLDERS
from ticketdb.config import NAMES, Variables
from ticketdb.database import settings_sql
from ticketdb.develop.build import build_from_sources
from ticketdb.errors import ExitStatus, TicketdbError
from ticketdb.migrate.chain import DROP, MADE, read_chain, read_sources
from ticketdb.migrate.statements import runs_outside, split_statements
from ticketdb.paths import PACKAGE, Tree, shipped_tree
from ticketdb.private_server import find_server_binaries, private_cluster
from ticketdb.templates import render

ROOT = PACKAGE.parent
SQUAWK_RULES = ROOT / ".squawk.toml"
REQUIRE_EXTENSIONS = "TICKETDB_REQUIRE_PG_CRON"  # as for the tests that need them
NOT_HERE = ("E_NO_SERVER", "E_NO_SERVER_USER", "E_NO_EXTENSION")

# Each of these names would end the token around it, unless that is the quoted name alone.
HOSTILE = Variables(
    schema='"; DROP SCHEMA a; --',
    monitoring_schema="'; DROP SCHEMA b; --",
    internal_schema='"; DROP SCHEMA c; --',
    app_role="*/; DROP ROLE c; /*",
    box_office_role="'''; DROP ROLE g; --",
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

# The statement that a file of sql/ may consist of, and those that may be beside it, by PostgreSQL's
# names for kinds of statements.
BESIDES = {
    "CreateStmt": {"AlterTableStmt", "CommentStmt", "CreateTrigStmt", "GrantStmt"}
    | {"IndexStmt", "InsertStmt"},
    "CreateFunctionStmt": {"CommentStmt", "GrantStmt"},
    "ViewStmt": {"CommentStmt", "GrantStmt"},
    "CreateTrigStmt": {"AlterTableStmt", "CommentStmt"},
    "CreateSchemaStmt": {"CommentStmt"},
    "CreateDomainStmt": {"CommentStmt"},
}
# Statements of a file without a CREATE, which has no object that it could be named for.
WITHOUT_CREATE = {"DoStmt", "GrantStmt", "SelectStmt"}
NOT_FOR_REVISIONS = {
    "TransactionStmt": "a revision is one transaction, which `apply` begins and ends",
    "VariableSetStmt": "`apply` sets what a revision runs under (ticketdb/settings.sql)",
}

# A quoted name or a quoted text that is nothing but a placeholder.
PLACEHOLDER_TOKEN = re.compile(r"([\"'])zz_\w+_zz\1")
SETTING = re.compile(r"\('(\w+)', ('[^']*')\)")  # in ticketdb/settings.sql
DOLLAR_QUOTED = re.compile(r"(\$\w*\$)(.*)\1", re.DOTALL)

# The search path of functions: only superusers create objects in pg_catalog.
PATH = ("pg_catalog", "pg_temp")
BEFORE_RELATIONS = {"FROM", "JOIN", "UPDATE", "ONLY", "TABLE", "USING", "ON"}
BEFORE_TYPES = {"::", "CONSTANT", "RETURNS", "SETOF"}

# Findings of plpgsql_check that are accepted, each with the reason.
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
    """A violation of a rule, which makes the check fail."""

    file: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {' '.join(self.message.split())}"


@dataclass(frozen=True)
class Template:
    """A file of SQL with variables. `file`: its path from the top of the tree."""

    file: str
    text: str

    @property
    def is_revision(self) -> bool:
        return self.file.endswith((".up.sql", ".down.sql"))

    def rendered(self, variables: Variables) -> str:
        """The rendered text. Its lines keep their numbers, since no name contains a line feed."""
        more = {}
        if self.file.startswith("ticketdb/"):  # ticketdb's own queries get more than the variables
            words = {*re.findall(r"\w+", "".join(re.findall(r"{[{%].*?[%}]}", self.text)))}
            more = {w: variables.cleanup_job.replace("cleanup_job", w) for w in words - {*NAMES}}
        # Parameters of psycopg.
        return re.sub(r"%\(\w+\)s", "NULL", render(self.text, variables, self.file, **more))


@dataclass(frozen=True)
class Statement:
    """A statement of a file. `kind`: PostgreSQL's name for it; `words`: its names and key words."""

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
    """ticketdb's own queries, without scripts for psql: those have commands that are not SQL."""
    files = [file for file in sorted(PACKAGE.rglob("*.sql")) if not file.name.startswith("script_")]
    return [
        Template(f"ticketdb/{file.relative_to(PACKAGE)}", file.read_text(encoding="utf-8"))
        for file in files
    ]


def all_templates(tree: Tree) -> list[Template]:
    return [*source_templates(tree), *revision_templates(tree), *own_templates()]


def examine(template: Template) -> Iterator[Finding]:
    """The findings in a template, most of them by PostgreSQL's parser."""
    try:
        text = template.rendered(Variables())
        found = statements(text)
        yield from statements_are_what_they_seem(template, text, found)
        yield from names_are_tokens(template)
        yield from file_is_about_its_object(template, found)
        yield from nothing_is_left_to_apply(template, found)
        yield from text_is_ascii(template)
        if not template.file.startswith("ticketdb/"):
            yield from nothing_depends_on_the_session(template, text)
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
    """PostgreSQL's tokens and comments with positions; of a dollar-quoted body, those inside."""
    for token in scan(text):
        piece = text[token.start : token.end + 1]
        if body := DOLLAR_QUOTED.fullmatch(piece):
            start = token.start + body.start(2)
            yield from ((start + place, within) for place, within in tokens(body[2]))
        else:
            yield token.start, piece


def statements(text: str) -> list[Statement]:
    """The statements that PostgreSQL's parser finds. Raises ParseError."""
    found = []
    for parsed in parse_sql(text):
        start, kind = parsed.stmt_location or 0, type(parsed.stmt).__name__
        piece = text[start : start + parsed.stmt_len if parsed.stmt_len else None]
        words = frozenset(token.strip('"') for _, token in tokens(piece))
        found.append(Statement(kind, line_of(text, start), words))
    return found


def count_of(text: str) -> int:
    """How many statements split_statements() finds; the last one may lack its semicolon."""
    code = [token for _, token in tokens(text) if not token.startswith(("--", "/*"))]
    return len(split_statements(text)) + (code[-1:] not in ([], [";"]))


def statements_are_what_they_seem(
    template: Template, text: str, found: list[Statement]
) -> Iterator[Finding]:
    """Both ways to split a template agree, and hostile names do not change its statements."""
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
    """Each variable is a token by itself, not part of a literal, a comment or a longer name."""
    text = template.rendered(PLACEHOLDERS)
    for place, token in tokens(text):
        if "zz_" in token and not PLACEHOLDER_TOKEN.fullmatch(token):
            message = f"a variable stands within {token[:60]!r} instead of by itself"
            yield Finding(template.file, line_of(text, place), "token", message)


def file_is_about_its_object(template: Template, found: list[Statement]) -> Iterator[Finding]:
    """One statement creates the object that the file is named for; the others are about it."""
    if not template.file.startswith("sql/") or template.file.endswith(DROP):
        return
    stem = Path(template.file).stem
    made = next((statement.kind for statement in found if statement.kind in BESIDES), None)
    allowed = BESIDES[made] | {made} if made else WITHOUT_CREATE
    for statement in found:
        if statement.kind not in allowed:
            message = f"{statement.kind} does not belong beside {made or 'what has no CREATE'}"
            yield Finding(template.file, statement.line, "object", message)
        elif made and not any(
            word == stem or word.startswith(f"{stem}_") for word in statement.words
        ):
            message = f"{statement.kind} is not about {stem}"
            yield Finding(template.file, statement.line, "object", message)
    times = sum(statement.kind == made for statement in found)
    if times > 1 and made != "CreateTrigStmt":
        message = f"{times} times {made}: a file creates the one object that it is named for"
        yield Finding(template.file, 1, "object", message)


def nothing_is_left_to_apply(template: Template, found: list[Statement]) -> Iterator[Finding]:
    """A revision contains no statement that `apply` runs around it."""
    if template.is_revision:
        for statement in found:
            if reason := NOT_FOR_REVISIONS.get(statement.kind):
                yield Finding(template.file, statement.line, statement.kind, reason)


def text_is_ascii(template: Template) -> Iterator[Finding]:
    """Only ASCII, even in comments: databases have encodings that lack other characters."""
    for number, line in enumerate(template.text.splitlines(), 1):
        if found := re.search(r"[^\x00-\x7f]", line):
            message = f"{found[0]!r} does not exist in every encoding of a database"
            yield Finding(template.file, number, "ascii", message)


def nothing_depends_on_the_session(template: Template, text: str) -> Iterator[Finding]:
    """A body means the same whatever the caller has set, and whatever is in other schemas."""
    code = [found for found in tokens(text) if not found[1].startswith(("--", "/*"))]
    for place, token in code:
        if "\\" in token:
            message = "a backslash means something else without standard_conforming_strings"
            yield Finding(template.file, line_of(text, place), "backslash", message)
    for parsed in parse_sql(text):
        statement: Any = parsed.stmt
        if type(statement).__name__ == "CreateFunctionStmt" and not has_its_path(statement):
            message = f"{statement.funcname[-1].sval} has no SET search_path = {', '.join(PATH)}"
            line = line_of(text, parsed.stmt_location or 0)
            yield Finding(template.file, line, "search_path", message)
    words = [token for _, token in code]
    # A name that WITH gives is the statement's own.
    named = {
        words[n]
        for n in range(len(words) - 2)
        if [w.upper() for w in words[n + 1 : n + 3]] == ["AS", "("]
    }
    for number, (place, token) in enumerate(code):
        around = words[max(0, number - 2) : number], words[number + 1 : number + 2]
        if token not in named and is_unqualified(token, *around):
            message = f"{token} is not qualified with its schema"
            yield Finding(template.file, line_of(text, place), "unqualified", message)


def has_its_path(function: Any) -> bool:
    """Whether the search path is pinned, in the head or (procedures that commit) in the body.

    A body in the SQL standard's form needs none: its names are resolved when it is created.
    """
    if function.sql_body is not None:
        return True
    body = ""
    for option in function.options:
        setting = option.arg
        if option.defname == "set" and setting.name == "search_path":
            return tuple(value.val.sval for value in setting.args) == PATH
        if option.defname == "as":
            body = setting[0].sval
    sets = f"set_config('search_path', '{', '.join(PATH)}', true)"
    return bool(function.is_procedure) and body.count(sets) >= 1 and "COMMIT" in body


@cache
def files_of(tree: Tree, *kinds: str) -> dict[str, str]:
    """The names of the objects of these kinds in ``sql/``, and the file of each."""
    made = ((MADE.search(source.text), source.file) for source in read_sources(tree))
    return {
        first["name"].rpartition(".")[2]: f"sql/{file}"
        for first, file in made
        if first and first["kind"] in kinds
    }


def is_unqualified(token: str, before: list[str], after: list[str]) -> bool:
    """Whether this token is the name of one of ticketdb's objects, without its schema."""
    words = [word.upper() for word in before]
    last = words[-1] if words else ""
    if last == ".":
        return False
    if token in files_of(shipped_tree(), "FUNCTION", "PROCEDURE") and after == ["("]:
        return last != "AS"
    if token not in files_of(shipped_tree(), "TABLE", "VIEW") or after == ["."]:
        return False
    if last == "INTO":  # and not SELECT INTO a variable
        return words[0] in ("INSERT", "MERGE")
    return last in BEFORE_RELATIONS | BEFORE_TYPES or last.startswith(("V_", "P_"))


def squawk(revisions: list[Template], settings: str | None = None) -> list[Finding]:
    """The findings of squawk in revisions as `apply` sends them. `settings`: instead of apply's.

    The settings go before the first line, so that lines keep their numbers. They are written with
    SET, since squawk does not recognise set_config().
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
            for found in run_squawk(*options, *by_path):
                message = f"{found['message']} {found['help'] or ''}".strip()
                file = by_path[found["file"]].file
                findings.append(Finding(file, found["line"] + 1, found["rule_name"], message))
    return findings


def run_squawk(*arguments: str) -> list[dict[str, Any]]:
    """The findings of squawk as it prints them in JSON."""
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
    """The findings of plpgsql_check in the functions of these schemas, whose names are quoted.

    Accepted findings are left out. An accepted one that no longer occurs is itself a finding, since
    it would hide the next of its kind.
    """
    known = dict.fromkeys(FINDINGS, False)
    files = files_of(shipped_tree(), "FUNCTION", "PROCEDURE")
    for function, message, detail, line in connection.execute(PLPGSQL_CHECK, [schemas]).fetchall():
        if (function, message) in known:
            known[function, message] = True
        else:
            text = f"{function}: {message} {detail or ''}"
            yield Finding(files.get(function, function), line, "plpgsql_check", text)
    for (function, message), is_there in known.items():
        if not is_there:
            gone = f"{message!r} no longer occurs: remove it from FINDINGS"
            yield Finding(files.get(function, function), 1, "plpgsql_check", gone)


def examine_functions(tree: Tree) -> Iterator[Finding]:
    """Run plpgsql_check on the functions of ``sql/`` on a private server.

    Raises E_NO_SERVER or E_NO_EXTENSION where it cannot be run, or another TicketdbError with file
    and line where the server refuses a file.
    """
    variables = Variables()
    binaries = find_server_binaries()
    # Some functions use the tables of pg_cron, which must exist then.
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
            schemas = [variables.schema, variables.monitoring_schema, variables.internal_schema]
            for finding in plpgsql_findings(connection, schemas):
                yield in_its_file(finding, tree)


def in_its_file(finding: Finding, tree: Tree) -> Finding:
    """The finding with its line counted from the top of the file, not of the function's body."""
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
        if not findings:  # a server would refuse what the parser does not accept
            findings += examine_functions(tree)
    except TicketdbError as error:
        if error.code not in NOT_HERE or os.environ.get(REQUIRE_EXTENSIONS) == "1":
            print(error, file=sys.stderr)
            return error.exit_status
        print(f"plpgsql_check was not run: {error.message}")
    for finding in findings:
        print(finding)
    print(f"lint-migrations: {len(findings) or 'no'} findings in {len(templates)} files")
    return ExitStatus.CHECK_FAILED if findings else ExitStatus.OK
