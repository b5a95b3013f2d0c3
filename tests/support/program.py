"""The program `ticketdb` as people run it, scripts in psql, and what they may have to wait for."""

import os
import subprocess
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

from tests.support.databases import Database


def run_script(
    database: Database, text: str, *options: str, user: str = "postgres"
) -> tuple[int, str]:
    """What psql makes of a script: its exit status and what it complains about."""
    psql = database.cluster.binaries.bindir / "psql"
    command: list[Any] = [psql, "-X", "-q", *options, "-f", "-", database.dsn_as(user)]
    done = subprocess.run(command, input=text, check=False, capture_output=True, text=True)
    return done.returncode, done.stderr


# A show with one seat, which somebody holds.
HOLD = """
    INSERT INTO public.shows (name, starts_at, currency, status)
    VALUES ('x', now() + interval '1 day', 'EUR', 'on_sale');
    INSERT INTO public.show_seats (show_id, section, row_label, seat_number, price_in_cents)
    SELECT id, 'a', 'a', '1', 100 FROM public.shows;
    SELECT public.reserve_seats(show_id, ARRAY[id], 'session') FROM public.show_seats;
"""

# A session of the program that waits for what the test has locked.
WAITING = (
    "FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'ticketdb' AND wait_event_type = 'Lock'"
)


@dataclass(frozen=True)
class Finished:
    """What a command left: its exit status and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Program(Protocol):
    """What the fixture `ticketdb` gives: a way to run the program as people do."""

    def __call__(self, *arguments: str, **environment: str) -> Finished: ...


class Start(Protocol):
    """What the fixture `start` gives: a way to have the program run beside the test."""

    def __call__(self, *arguments: str, **environment: str) -> subprocess.Popen[str]: ...


def clean_environment(**more: str) -> dict[str, str]:
    """Ours without what would steer libpq or ticketdb."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "TICKETDB_"))}
    return {**kept, **more}


def take_migration_lock(holder: psycopg.Connection) -> None:
    """As a migration holds it, until `holder` ends its transaction. The table must be there."""
    holder.execute(
        "BEGIN; LOCK TABLE ticketdb.ticketdb_alembic_version IN SHARE UPDATE EXCLUSIVE MODE"
    )


def await_waiting(observer: psycopg.Connection) -> None:
    """Until a session of the program waits for a lock."""
    while observer.execute(f"SELECT {WAITING}".encode()).rowcount == 0:
        pass


def next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
