"""What `apply` would do to a database, measured on a copy of its schema. Nothing is changed."""

# The copy is on a private server of the same major version; the database itself is only read.
#
# Each revision is run as `apply` runs it, in one transaction: one by one, statements that share a
# temporary table or a SET LOCAL would fail, and locks that stay to the end would seem to be gone.
# What PostgreSQL does not show is that a statement takes a lock which its transaction has already:
# such a relation is listed if the statement scans, rewrites, drops or redefines it.
#
# The statements are run by a superuser, on empty tables: use `apply --dry-run` to find out whether
# the role has the privileges and the rows satisfy the constraints. Whether an UPDATE scans is the
# planner's choice for an empty table; what DDL scans and rewrites does not depend on the rows.

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from psycopg import IsolationLevel, errors

from ticketdb.config import Variables
from ticketdb.database import (
    Connection,
    State,
    connect,
    explained,
    own_sql,
    pin,
    query,
    refuse_pooler,
)
from ticketdb.errors import problem
from ticketdb.migrate.chain import read_chain
from ticketdb.migrate.history import check_direction, check_history, check_server, position_of
from ticketdb.migrate.statements import (
    bootstrap,
    revision_parts,
    run_settings,
    runs_outside,
    split_statements,
)
from ticketdb.paths import PACKAGE, Tree, shipped_tree
from ticketdb.private_server import SUPERUSER, find_server_binaries, private_cluster

# Nothing else may happen on the private server; pg_cron's jobs cannot connect to it.
QUIET = {"autovacuum": "off", "jit": "off", "cron.host": "/nowhere"}
# Rows that a statement wrote are distinguished from older ones by its subtransaction's id.
NEXT = "RELEASE ticketdb_plan; SAVEPOINT ticketdb_plan"


@dataclass
class Statement:
    revision: str
    in_transaction: bool
    section: str
    text: str
    locks: list[dict[str, Any]] = field(default_factory=list)  # plan_taken.sql, plan_described.sql

    @property
    def headline(self) -> str:
        return " ".join(self.text.split())[:100]


@dataclass
class Plan:
    statements: list[Statement] = field(default_factory=list)
    measured_on: str | None = None  # a version of PostgreSQL
    warnings: list[str] = field(default_factory=list)
    not_copied: list[str] = field(default_factory=list)  # errors of pg_restore


def plan(dsn: str, variables: Variables, to: str, measure: bool, tree: Tree | None = None) -> Plan:
    """The statements that `apply` would run, with their locks. Raises what it would, or E_COPY."""
    chain, result = read_chain(tree or shipped_tree()), Plan()
    with connect(dsn, patient=True) as target, explained("plan"):
        if measure:
            refuse_pooler(target, dsn)  # pg_dump would leave its settings behind there
        target.isolation_level, target.read_only = IsolationLevel.REPEATABLE_READ, True
        pin(target, patient=True)
        state = State.read(target, variables)
        check_server(state, writing=False)
        if state.revision is None and state.others:
            result.warnings.append(f"{state.reached(variables)}: apply needs --beside")
        check_history(state, chain, variables)
        here, there = (position_of(chain, name) for name in (state.revision, to))
        check_direction(chain, here, there, "up")
        for revision in chain[here:there]:
            inside = not runs_outside(revision.up)
            known, about = chain if inside else [], (revision.name, inside)
            for section, part in revision_parts(revision, variables, "up", known):
                texts = split_statements(f"{part}\n;")  # the last one may end without
                result.statements += [Statement(*about, section, t) for t in texts if t != ";"]
        if measure and result.statements:
            _measure(target, state, variables, result)
    return result


def _measure(target: Connection, state: State, variables: Variables, result: Plan) -> None:
    """Run everything on a copy; then read from the target how large the locked relations are."""
    (wanted,) = query(target, "migrate/sql/plan_copy.sql", variables, superuser=SUPERUSER)
    binaries, statements = find_server_binaries(major=state.major), result.statements
    with private_cluster(binaries, cron_database=wanted.cron, settings=QUIET) as cluster:
        dsn = cluster.dsn(state.database, options="-c search_path=pg_catalog,pg_temp")
        where = map(str, (binaries.bindir, cluster.directory, cluster.dsn(), dsn))
        copy = ["sh", PACKAGE / "migrate/sql/plan_copy.sh", *where, *wanted.snapshot_and_tables]
        # In the environment: arguments are visible to other users of the machine, and an older
        # libpq does not know all of them.
        libpq = target.pgconn.info
        env = os.environ | {o.envvar.decode(): o.val.decode() for o in libpq if o.envvar and o.val}
        env |= {"PGHOST": target.info.host, "PGPORT": str(target.info.port), "LC_ALL": "C"}
        done = subprocess.run(
            copy, input=wanted.sql, env=env, encoding="utf-8", capture_output=True
        )
        if done.returncode:
            raise problem("E_COPY", " ".join(done.stderr.split()))
        result.not_copied = [e.splitlines()[0] for e in done.stderr.split("ERROR:  ")[1:]]
        target.commit()  # measuring takes a while, and must not hold up vacuum
        # A revision is one transaction, or its statements are run one by one outside any.
        groups = groupby(statements, lambda s: (s.revision, s.in_transaction or id(s)))
        relations = [_run(dsn, variables, list(group)) for _, group in groups]
    result.measured_on = binaries.version
    locks = [lock for statement in statements for lock in statement.locks]
    measured = {"locks": json.dumps(locks), "today": json.dumps(relations[0])}
    described = query(target, "migrate/sql/plan_described.sql", variables, **measured)
    for lock, row in zip(locks, described, strict=True):
        lock |= row._asdict()
        del lock["oid"]  # of the copy, and meaningless in the database itself
    warned = ((s.revision, lock["warning"]) for s in statements for lock in s.locks)
    result.warnings += [f"{name}: {what}" for name, what in dict.fromkeys(warned) if what]


def _run(dsn: str, variables: Variables, statements: list[Statement]) -> dict[str, Any]:
    """Run statements in one transaction and note the locks of each. Returns the relations."""
    start = run_settings(0) + bootstrap([], variables)
    file, last = f"on a copy of the schema, {statements[0].revision}.up.sql", None
    with explained(f"{file}, at its end"), connect(dsn, patient=True) as session:
        (known,) = query(session, "migrate/sql/plan_relations.sql", variables)[0]
        whose = {"pid": str(session.info.backend_pid), "newest": max(known, key=int, default="0")}
        look = own_sql("migrate/sql/plan_locks.sql", variables, **whose)
        session.execute(f"{start}SAVEPOINT ticketdb_plan".encode())
        for each in statements:
            with explained(f"{file}, {each.section}: {each.headline}"):
                try:
                    session.execute(each.text.encode())
                    (looks,) = session.execute(f"{look}; {NEXT}".encode()).fetchall()
                except (errors.ActiveSqlTransaction, errors.InvalidTransactionTermination):
                    # It commits, as a procedure may.
                    session.rollback()
                    if each.in_transaction:
                        raise
                    looks = _waiting(session, variables, look, each.text)
            if looks[-1] != last:
                last = looks[-1]
                seen = {"before": json.dumps(known), "looks": json.dumps(looks)}
                taken = query(session, "migrate/sql/plan_taken.sql", variables, **seen)
                each.locks = [row._asdict() for row in taken]
                known |= {oid: known[oid] | last[oid] for oid in known.keys() & last.keys()}
        session.commit()
    return dict(known)


def _waiting(session: Connection, variables: Variables, look: str, text: str) -> list[Any]:
    """Run a statement that commits, and read its locks whenever one of ours makes it wait."""
    looks, blockers, session.autocommit = [], {}, True
    pid, dsn = session.info.backend_pid, session.info.dsn
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        stack.callback(session.cancel)  # otherwise the pool would wait for it, even after Ctrl-C
        observer = stack.enter_context(connect(dsn, autocommit=True, patient=True))
        for (lock,) in query(observer, "migrate/sql/plan_blockers.sql", variables):
            locked = stack.enter_context(connect(dsn, patient=True)).execute(lock.encode())
            blockers[locked.connection.info.backend_pid] = locked.connection
        for (sent,) in query(session, "migrate/sql/outside.sql", variables, statement=text):
            running = pool.submit(session.execute, sent)
            while not running.done():
                ((pids,),) = observer.execute("SELECT pg_blocking_pids(%s)", [pid]).fetchall()
                # It still waits while its locks are read.
                for blocker in blockers.keys() & set(pids):
                    looks += observer.execute(look.encode()).fetchall()[0]
                    blockers[blocker].rollback()
            running.result()
    return [*looks, query(session, "migrate/sql/plan_relations.sql", variables)[0].relations]
