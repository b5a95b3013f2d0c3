"""The history of runs as pg_cron keeps it: whatever is in it, and however long it has grown.

Its rows are written here as pg_cron writes them, in a transaction that is rolled back.
"""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from tests.support.databases import Database
from tests.support.names import NAMES
from tests.support.plans import explained
from tests.support.queries import Connection, Row, enter, value
from ticketdb.migrate import commands


@pytest.fixture
def cron(cron_database: Database) -> Iterator[Connection]:
    """An installation whose jobs are scheduled, and do not run while a test looks at them."""
    commands.apply(cron_database.dsn, NAMES)
    with psycopg.connect(cron_database.dsn, row_factory=namedtuple_row) as connection:
        enter(connection)
        connection.execute("UPDATE cron.job SET schedule = '0 0 29 2 *'")
        connection.execute("DELETE FROM cron.job_run_details")
        connection.execute(
            "UPDATE alert_rules SET enabled = enabled"  # the transaction has begun
        )
        yield connection
        connection.rollback()


def log_run(
    cron: Connection,
    began: str | None = "1 minute",
    took: float | None = 1.0,
    job: str = NAMES.cleanup_job,
    status: str = "succeeded",
    return_message: str | None = "CALL",
    pid: int | None = None,
) -> int:
    """Write a run that began so long ago; returns its number."""
    number: int = value(
        cron,
        "INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status,"
        " return_message, start_time, end_time)"
        " SELECT jobid, %s, database, username, command, %s, %s, now() - %s::interval,"
        " now() - %s::interval + make_interval(secs => %s)"
        " FROM cron.job WHERE jobname = %s RETURNING runid",
        *(pid, status, return_message, began, began, took, job),
    )
    return number


def log_run_that_never_began(cron: Connection) -> int:
    return log_run(cron, None, status="failed", return_message="connection failed")


def health(cron: Connection) -> Row:
    (row,) = cron.execute("SELECT * FROM cleanup_job_health").fetchall()
    return row


def shown(cron: Connection) -> list[Row]:
    return cron.execute("SELECT * FROM reservation_cleanup_job_status").fetchall()


def problem(cron: Connection) -> str | None:
    found: str | None = value(cron, "SELECT cleanup_job_problem()")
    return found


def test_a_job_that_never_ran_says_so_and_has_no_age(cron: Connection) -> None:
    row = health(cron)
    assert (row.has_run, row.last_run_age_seconds, row.last_run_duration_seconds) == (0, None, None)
    assert (row.last_run_failed, row.runs_24h, row.failed_runs_24h) == (0, 0, 0)
    assert (row.scheduler, row.is_scheduled) == ("pg_cron", 1)
    assert problem(cron) is None


def test_runs_that_never_began_are_failed_runs(cron: Connection) -> None:
    """After a promotion to another port: the last that began is minutes old, and it shows."""
    log_run(cron, "15 minutes")
    for _ in range(14):
        log_run_that_never_began(cron)
    row = health(cron)
    assert (row.last_run_failed, row.failed_runs_24h, row.runs_24h) == (1, 14, 15)
    assert row.last_run_age_seconds == pytest.approx(900)
    assert (row.has_run, row.last_run_duration_seconds) == (1, None)
    assert {(run.status, run.return_message, run.start_time) for run in shown(cron)} == {
        ("failed", "connection failed", None)
    }
    assert problem(cron) == "the last run could not be started: connection failed"


def test_a_job_that_could_never_begin_has_failed_and_has_not_run(cron: Connection) -> None:
    for _ in range(3):
        log_run_that_never_began(cron)
    row = health(cron)
    assert (row.last_run_failed, row.failed_runs_24h, row.has_run) == (1, 3, 0)
    assert row.last_run_age_seconds is None


def test_runs_that_never_began_are_counted_by_the_time_of_those_after_them(
    cron: Connection,
) -> None:
    """The control: those of last week are not of the last 24 hours."""
    for _ in range(5):
        log_run_that_never_began(cron)
    for _ in range(200):
        log_run(cron, "7 days", job=NAMES.rollup_job)
    log_run_that_never_began(cron)
    log_run(cron, "1 minute")
    row = health(cron)
    assert (row.failed_runs_24h, row.runs_24h, row.last_run_failed) == (1, 2, 0)


def test_the_last_run_is_the_one_with_the_highest_number_whatever_the_clock_said(
    cron: Connection,
) -> None:
    log_run(cron, "5 minutes", status="failed", return_message="before the clock was set back")
    log_run(cron, "65 minutes")
    assert [run.status for run in shown(cron)] == ["succeeded", "failed"]
    row = health(cron)
    assert (row.last_run_failed, row.last_run_age_seconds) == (0, pytest.approx(3900))
    log_run(cron, "66 minutes", status="failed")
    assert health(cron).last_run_failed == 1


def test_a_long_run_is_seen_behind_those_that_queued_up(cron: Connection) -> None:
    log_run(cron, "30 minutes", took=1117)
    for _ in range(18):
        log_run(cron, "11 minutes", took=0.1)
    for _ in range(5):
        log_run(cron, None, status="starting", return_message=None)
    row = health(cron)
    assert row.longest_run_seconds == 1117
    assert row.last_run_failed == 0
    totals = cron.execute(
        "SELECT runs, failed_runs, skipped_runs, longest_run_seconds"
        " FROM cleanup_run_totals(now() - interval '1 hour')"
    ).fetchall()
    assert totals == [(19, 0, 0, 1117)]
    # It ended 11 minutes and 23 seconds ago.
    totals = cron.execute(
        "SELECT runs, failed_runs, skipped_runs, longest_run_seconds"
        " FROM cleanup_run_totals(now() - interval '11 minutes')"
    ).fetchall()
    assert totals == [(18, 0, 0, pytest.approx(0.1))]


def test_a_run_that_is_at_work_counts_as_long_as_it_has_been(cron: Connection) -> None:
    cron.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, started_at)"
        " VALUES ('external', now() - interval '100 s')"
    )
    row = health(cron)
    assert (row.longest_run_seconds, row.runs_24h) == (100, 0)


def test_the_counts_of_a_day_are_those_of_the_job_however_often_others_run(
    cron: Connection,
) -> None:
    for _ in range(7):
        log_run(cron, "20 hours", status="failed", return_message="disk on fire")
    cron.execute(
        "INSERT INTO cron.job_run_details (jobid, database, username, command, status, start_time,"
        " end_time) SELECT 1000000, 'elsewhere', 'postgres', 'SELECT 1', 'succeeded',"
        " now() - n * interval '3 s', now() - n * interval '3 s'"
        " FROM generate_series(23000, 1, -1) AS n"
    )
    log_run(cron)
    row = health(cron)
    assert (row.failed_runs_24h, row.runs_24h, row.last_run_failed) == (7, 8, 0)


def test_a_run_that_was_skipped_is_none_although_pg_cron_takes_it_for_a_success(
    cron: Connection,
) -> None:
    log_run(cron, "2 minutes", pid=4_000_001)
    log_run(cron, "1 minute", pid=4_000_002)
    cron.execute(
        "INSERT INTO reservation_cleanup_runs"
        " (scheduler, backend_pid, started_at, finished_at, status, error_message)"
        " VALUES ('pg_cron', 4000001, now() - interval '2 min', now() - interval '119 s',"
        " 'succeeded', NULL), ('pg_cron', 4000002, now() - interval '1 min',"
        " now() - interval '1 min', 'skipped', 'Another run is at work.')"
    )
    assert [(run.status, run.return_message) for run in shown(cron)] == [
        ("skipped", "Another run is at work."),
        ("succeeded", "0 reservations expired, 0 seats released"),
    ]
    row = health(cron)
    assert (row.runs_24h, row.skipped_runs_24h, row.failed_runs_24h) == (1, 1, 0)
    assert row.last_run_age_seconds == pytest.approx(120)


def test_a_run_whose_process_has_gone_shows_as_failed_before_the_next_one_finds_out(
    cron: Connection,
) -> None:
    cron.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, backend_pid, started_at)"
        " VALUES ('external', 4000001, now() - interval '1 minute')"
    )
    assert health(cron).last_run_failed == 1
    # The control: one that is at work.
    cron.execute("UPDATE reservation_cleanup_runs SET backend_pid = pg_backend_pid()")
    assert health(cron).last_run_failed == 0


def test_a_restart_shows_with_what_pg_cron_says_of_it(cron: Connection) -> None:
    log_run(cron, status="failed", return_message="server restarted", pid=4_000_001)
    cron.execute(
        "INSERT INTO reservation_cleanup_runs (scheduler, backend_pid, started_at)"
        " VALUES ('pg_cron', 4000001, now() - interval '1 minute')"
    )
    assert [(run.status, run.return_message) for run in shown(cron)] == [
        ("failed", "server restarted")
    ]
    assert problem(cron) == "the last run failed: server restarted"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("database = 'olden'", "in database olden, which does not exist: run ticketdb apply"),
        ("username = 'gone'", "as role gone, which does not exist or may not log in"),
        (f"username = '{NAMES.app_role}'", f"as role {NAMES.app_role}, which does not exist"),
        ("nodeport = 1", "connects to port 1, but this server listens on port"),
    ],
    ids=["renamed database", "dropped role", "role without login", "moved port"],
)
def test_the_cause_is_named_where_it_can_be_seen(cron: Connection, change: str, words: str) -> None:
    log_run_that_never_began(cron)
    assert problem(cron) == "the last run could not be started: connection failed"
    cron.execute(f"UPDATE cron.job SET {change} WHERE jobname = %s".encode(), [NAMES.cleanup_job])
    found = problem(cron)
    assert found is not None
    assert words in found


# What a history costs that has grown: 14 days of the jobs, as many of somebody else.
GROWN = """
    INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status,
        return_message, start_time, end_time)
    SELECT job.jobid, minute, job.database, job.username, job.command, 'succeeded', 'CALL',
        now() - make_interval(mins => minute), now() - make_interval(mins => minute, secs => -1)
    FROM generate_series(14 * 1440, 1, -1) AS minute
    CROSS JOIN (
        SELECT jobid, database, username, command, jobname FROM cron.job
        UNION ALL
        SELECT 1000000 + n, 'elsewhere', 'somebody', 'SELECT 1', NULL
        FROM generate_series(1, 5) AS n
    ) AS job
    WHERE job.jobname IS NULL OR job.jobname = ANY(%s) OR minute %% 10 = 0;
"""
OWN = """
    INSERT INTO reservation_cleanup_runs (scheduler, backend_pid, started_at, finished_at, status)
    SELECT 'pg_cron', minute, now() - make_interval(mins => minute, secs => -0.1),
        now() - make_interval(mins => minute, secs => -0.9), 'succeeded'
    FROM generate_series(14 * 1440, 1, -1) AS minute;
"""
READERS = [
    "SELECT * FROM reservation_cleanup_job_status",
    "SELECT * FROM cleanup_job_health",
    "SELECT * FROM cleanup_run_totals(now() - interval '24 hours')",
    "SELECT cleanup_job_problem()",
]


@pytest.fixture
def grown(cron: Connection) -> Connection:
    cron.execute(GROWN, [[NAMES.cleanup_job, NAMES.rollup_job]])
    return cron


@pytest.mark.parametrize("has_own", [True, False], ids=["both records", "only pg_cron's"])
@pytest.mark.parametrize("analyzed", [True, False], ids=["statistics", "none"])
def test_no_reader_reads_more_than_a_day_of_the_history(
    grown: Connection, has_own: bool, analyzed: bool
) -> None:
    total = value(grown, "SELECT count(*) FROM cron.job_run_details")
    assert total > 140_000
    if has_own:
        grown.execute(OWN)
    if analyzed:
        grown.execute("ANALYZE cron.job_run_details, reservation_cleanup_runs")
    for reader in READERS:
        grown.execute(reader.encode())  # what a session reads of the catalog
        with explained(grown) as plans:
            assert grown.execute(reader.encode()).fetchall()
        (whole,) = [plan for plan in plans if plan.query == reader]
        assert whole.buffers < 900, (reader, whole.buffers)
        steps = [
            (node["Node Type"], node["Relation Name"])
            for plan in plans
            for node in plan.nodes
            if node.get("Relation Name") in ("job_run_details", "reservation_cleanup_runs")
        ]
        assert "Seq Scan" not in {step for step, _ in steps}
        # Not for each row of the history: once for each question.
        asked = [plan for plan in plans if "extension.extname = 'pg_cron'" in plan.query]
        assert len(asked) <= 4


def test_what_is_read_of_a_grown_history_is_right(grown: Connection) -> None:
    grown.execute(OWN)
    row = health(grown)
    assert row.runs_24h in (1440, 1441)
    assert (row.failed_runs_24h, row.has_run) == (0, 1)
    assert len(shown(grown)) == 10
    assert {run.scheduler for run in shown(grown)} == {"pg_cron"}
    starts = [run.start_time for run in shown(grown)]
    assert starts == sorted(set(starts), reverse=True)


def test_a_reader_of_the_whole_history_would_be_seen(grown: Connection) -> None:
    """The control of the tests above."""
    with explained(grown) as plans:
        grown.execute("SELECT count(*) FROM cron.job_run_details WHERE jobid = 1")
    assert plans[-1].buffers > 900


def test_old_runs_of_our_jobs_are_purged_those_of_removed_ones_and_without_times_included(
    cron: Connection,
) -> None:
    """Other people's are theirs."""
    for job in (NAMES.cleanup_job, NAMES.purge_job):
        log_run(cron, "20 days", job=job)
    log_run_that_never_began(cron)
    log_run(cron, "15 days")
    cron.execute(
        "INSERT INTO cron.job_run_details (jobid, database, username, command, status, start_time,"
        " end_time) SELECT 77, current_database(), current_user, 'SELECT 1', 'succeeded', at, at"
        " FROM (SELECT now() - interval '15 days' AS at) AS moment"
    )
    kept = [
        log_run_that_never_began(cron),
        log_run(cron, "13 days"),
        log_run(cron, "1 day", job=NAMES.purge_job),
    ]
    cron.execute("SELECT cron.unschedule(%s::text)", [NAMES.purge_job])
    removed = dict(cron.execute("SELECT * FROM purge_history()").fetchall())
    assert removed == {"cron.job_run_details": 4}
    left = cron.execute("SELECT runid FROM cron.job_run_details WHERE jobid <> 77").fetchall()
    assert [row.runid for row in left] == kept
    assert value(cron, "SELECT count(*) FROM cron.job_run_details WHERE jobid = 77") == 1
