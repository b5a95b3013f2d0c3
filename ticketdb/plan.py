"""What `apply` would do to a database, measured on a copy of its schema. Nothing is changed."""

# The copy is on a private server of the same major version; the database itself is only read.
#
# Each revision is run as `apply` runs it, in one transaction: one by one, statements that share a
# temporary table or a SET LOCAL would fail, and locks that stay to the end would seem to be gone.
# What PostgreSQL does not show is that a statement takes a lock which its transaction has already:
# such a relation is told when the statement scans, rewrites, drops or redefines it.
#
# All is run by a superuser, on tables that are empty: whether the role may do it, and whether the
# rows allow it, is for `apply --dry-run`. Whether an UPDATE scans is what the planner makes of an
# empty table; what DDL scans and rewrites does not depend on the rows.

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from psycopg import IsolationLevel, errors

from ticketdb import migrate
from ticketdb.cluster import SUPERUSER, find_server_binaries, private_cluster
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
from ticketdb.resources import PACKAGE, Tree, shipped_tree
from ticketdb.revision import read_chain

# On the private server nothing happens but what is measured: pg_cron's jobs find no server.
QUIET = {"autovacuum": "off", "jit": "off", "cron.host": "/nowhere"}
# Rows that a statement wrote are told from older ones by its subtransaction's id.
NEXT = "RELEASE ticketdb_plan; SAVEPOINT ticketdb_plan"


@dataclass
class Statement:
    revision: str
    in_transaction: bool
    section: str
    text: str
    locks: list[dict[str, Any]] = field(default_factory=list)  # plan_taken.sql, plan_told.sql

    @property
    def headline(self) -> str:
        return " ".join(self.text.split())[:100]


@dataclass
class Plan:
    statements: list[Statement] = field(default_factory=list)
    measured_on: str | None = None  # a version of PostgreSQL
    warnings: list[str] = field(default_factory=list)
    not_copied: list[str] = field(default_factory=list)  # and why


def plan(dsn: str, variables: Variables, to: str, measure: bool, tree: Tree | None = None) -> Plan:
    """What `apply` would run, and what each statement does. Raises as it would, and E_COPY."""
    chain, result = read_chain(tree or shipped_tree()), Plan()
    with connect(dsn, patient=True) as target, explained("plan"):
        if measure:
            refuse_pooler(target, dsn)  # pg_dump would leave its settings behind there
        target.isolation_level, target.read_only = IsolationLevel.REPEATABLE_READ, True
        pin(target, patient=True)
        state = State.read(target, variables)
        migrate.check_server(state, writing=False)
        if state.revision is None and state.others:
            result.warnings.append(f"{state.reached(variables)}: apply needs --beside")
        migrate.check_history(state, chain, variables)
        here, there = (migrate.position_of(chain, name) for name in (state.revision, to))
        migrate.check_direction(chain, here, there, "up")
        for revision in chain[here:there]:
            inside = not migrate.runs_outside(revision.up)
            known, about = chain if inside else [], (revision.name, inside)
            for section, part in migrate.revision_parts(revision, variables, "up", known):
                texts = migrate.split_statements(f"{part}\n;")  # the last one may end without
                result.statements += [Statement(*about, section, t) for t in texts if t != ";"]
        if measure and result.statements:
            _measure(target, state, variables, result)
    return result


def _measure(target: Connection, state: State, variables: Variables, result: Plan) -> None:
    """Run everything on a copy; then ask the target how large is what was locked."""
    (wanted,) = query(target, "plan_copy.sql", variables, superuser=SUPERUSER)
    binaries, statements = find_server_binaries(major=state.major), result.statements
    with private_cluster(binaries, cron_database=wanted.cron, settings=QUIET) as cluster:
        dsn = cluster.dsn(state.database, options="-c search_path=pg_catalog,pg_temp")
        where = map(str, (binaries.bindir, cluster.directory, cluster.dsn(), dsn))
        copy = ["sh", PACKAGE / "plan_copy.sh", *where, *wanted.snapshot_and_tables]
        # Not as arguments, which everybody on this machine can read, and an older libpq refuse.
        libpq = target.pgconn.info
        env = os.environ | {o.envvar.decode(): o.val.decode() for o in libpq if o.envvar and o.val}
        env |= {"PGHOST": target.info.host, "PGPORT": str(target.info.port), "LC_ALL": "C"}
        done = subprocess.run(
            copy, input=wanted.sql, env=env, encoding="utf-8", capture_output=True
        )
        if done.returncode:
            raise problem("E_COPY", " ".join(done.stderr.split()))
        result.not_copied = [e.splitlines()[0] for e in done.stderr.split("ERROR:  ")[1:]]
        target.commit()  # measuring takes its time, and vacuum need not wait for it
        # A revision is one transaction, or each of its statements is none.
        groups = groupby(statements, lambda s: (s.revision, s.in_transaction or id(s)))
        relations = [_run(dsn, variables, list(group)) for _, group in groups]
    result.measured_on = binaries.version
    locks = [lock for statement in statements for lock in statement.locks]
    measured = {"locks": json.dumps(locks), "today": json.dumps(relations[0])}
    told = query(target, "plan_told.sql", variables, **measured)
    for lock, row in zip(locks, told, strict=True):
        lock |= row._asdict()
        del lock["oid"]  # of the copy: it says nothing about the database
    warned = ((s.revision, lock["warning"]) for s in statements for lock in s.locks)
    result.warnings += [f"{name}: {what}" for name, what in dict.fromkeys(warned) if what]


def _run(dsn: str, variables: Variables, statements: list[Statement]) -> dict[str, Any]:
    """Run statements in one transaction and note what each does. Returns the relations there."""
    start = migrate.run_settings(0) + migrate.bootstrap([], variables)
    file, last = f"on a copy of the schema, {statements[0].revision}.up.sql", None
    with explained(f"{file}, at its end"), connect(dsn, patient=True) as session:
        (known,) = query(session, "plan_relations.sql", variables)[0]
        whose = {"pid": str(session.info.backend_pid), "newest": max(known, key=int, default="0")}
        look = own_sql("plan_locks.sql", variables, **whose)
        session.execute(f"{start}SAVEPOINT ticketdb_plan".encode())
        for each in statements:
            with explained(f"{file}, {each.section}: {each.headline}"):
                try:
                    session.execute(each.text.encode())
                    (looks,) = session.execute(f"{look}; {NEXT}".encode()).fetchall()
                except (errors.ActiveSqlTransaction, errors.InvalidTransactionTermination):
                    # It commits by itself.
                    session.rollback()
                    if each.in_transaction:
                        raise
                    looks = _waiting(session, variables, look, each.text)
            if looks[-1] != last:
                last = looks[-1]
                seen = {"before": json.dumps(known), "looks": json.dumps(looks)}
                each.locks = [
                    r._asdict() for r in query(session, "plan_taken.sql", variables, **seen)
                ]
                known |= {oid: known[oid] | last[oid] for oid in known.keys() & last.keys()}
        session.commit()
    return dict(known)


def _waiting(session: Connection, variables: Variables, look: str, text: str) -> list[Any]:
    """Run a statement that commits by itself, and look at its locks whenever we make it wait."""
    looks, blockers, session.autocommit = [], {}, True
    pid, dsn = session.info.backend_pid, session.info.dsn
    with ThreadPoolExecutor(1) as pool, ExitStack() as stack:
        stack.callback(session.cancel)  # or the pool would wait for its end, also after Ctrl-C
        observer = stack.enter_context(connect(dsn, autocommit=True, patient=True))
        for (lock,) in query(observer, "plan_blockers.sql", variables):
            locked = stack.enter_context(connect(dsn, patient=True)).execute(lock.encode())
            blockers[locked.connection.info.backend_pid] = locked.connection
        for (sent,) in query(session, "outside.sql", variables, statement=text):
            running = pool.submit(session.execute, sent)
            while not running.done():
                ((pids,),) = observer.execute("SELECT pg_blocking_pids(%s)", [pid]).fetchall()
                # It cannot have gone on before it is looked at.
                for blocker in blockers.keys() & set(pids):
                    looks += observer.execute(look.encode()).fetchall()[0]
                    blockers[blocker].rollback()
            running.result()
    return [*looks, query(session, "plan_relations.sql", variables)[0].relations]
