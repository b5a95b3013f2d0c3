"""A database that was restored elsewhere counts on, and so does what was prepared for later."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.support.databases import Connect, Database, throw_away_database
from tests.support.hall import make_hall
from tests.support.metrics import DisagreementError, assert_equal, of_the_logs, of_the_views
from tests.support.names import NAMES
from tests.support.queries import Connection, enter, value
from tests.support.restoring import copy
from tests.support.rollups import (
    QUESTIONS,
    assert_exact,
    await_final,
    created,
    lines_not_rolled_up,
    log_holds,
    purge_history,
    roll_up,
    roll_up_all,
)
from tests.support.sabotage import Edit
from tests.support.storm import storm
from ticketdb.migrate import commands
from ticketdb.private_server import Cluster, private_cluster


@pytest.fixture(scope="module")
def elsewhere(cluster: Cluster) -> Iterator[Cluster]:
    """Another server, with the roles of ticketdb. It knows prepared transactions."""
    settings = {"max_prepared_transactions": "5"}
    with private_cluster(cluster.binaries, settings=settings) as other:
        other.create_database("roles")
        commands.apply(other.dsn("roles"), NAMES)
        yield other


@pytest.fixture
def there(elsewhere: Cluster) -> Iterator[Database]:
    """An empty database of that server."""
    yield from throw_away_database(elsewhere, None)


# One worker has the other server, not each of them one.
on_another_server = pytest.mark.xdist_group("elsewhere")


@on_another_server
def test_a_prepared_transaction_is_counted_once_it_commits(
    elsewhere: Cluster, there: Database, connect: Connect
) -> None:
    commands.apply(there.cluster.dsn(there.name), NAMES)
    owner = enter(connect(there))
    with closing(enter(psycopg.connect(there.dsn))) as first:
        log_holds(first, 3)
        first.execute("PREPARE TRANSACTION 'three'")
    with closing(enter(psycopg.connect(there.dsn))) as second:
        log_holds(second, 100)
        second.execute("PREPARE TRANSACTION 'hundred'")
    log_holds(owner, 2)
    roll_up(owner)
    assert created(owner) == 2
    elsewhere.restart()
    owner = enter(connect(there))
    roll_up(owner)
    assert created(owner) == 2
    owner.execute("COMMIT PREPARED 'three'")
    assert created(owner) == 5
    roll_up(owner)
    owner.execute("ROLLBACK PREPARED 'hundred'")
    roll_up_all(owner)
    assert created(owner) == 5
    assert_exact(owner)


def next_transaction(connection: Connection) -> int:
    return int(value(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"))


def pass_by(connection: Connection, transaction: int) -> None:
    """Use up transaction numbers of the server, until beyond this one."""
    connection.execute(
        f"""
        DO $$
        BEGIN
            WHILE pg_current_xact_id()::text::bigint <= {transaction} LOOP
                COMMIT;
            END LOOP;
        END
        $$
        """.encode()
    )


def fill(connection: Connection, database: Database) -> None:
    """Something of everything: some rolled up, some not, some committed late, some not at all."""
    hall = make_hall(connection)
    hall.sell(0)
    hall.fail(hall.order(hall.hold(1, session="ben"), "ben"))
    hall.extend(hall.hold(2, session="cleo"), session="cleo")
    assert not hall.reserve(0, session="dora").success
    hall.call(
        "log_api_request", p_endpoint="/", p_method="GET", p_status_code=200, p_duration_ms=7.0
    )
    log_holds(connection, 5, at="now() - interval '40 days'")
    with closing(enter(psycopg.connect(database.dsn))) as late:
        log_holds(late, 7)
        log_holds(connection, 2)
        roll_up(connection)  # up to the late one
        hall.refund(hall.sell(3, session="emil"))
        late.commit()
    await_final(connection)
    # A part of what is left, so that rows in the rollups and others have come in turns.
    roll_up(connection, 4)
    hall.sell(4, session="fay")
    assert lines_not_rolled_up(connection) > 0


def rollup_of(connection: Connection) -> tuple[str, str]:
    """What the view health says of it."""
    (row,) = connection.execute(
        "SELECT status, message FROM health WHERE check_name = 'rollup'"
    ).fetchall()
    return row.status, row.message


def assert_goes_on(connection: Connection, database: Database) -> None:
    """Whatever happens next is counted, once, beside late transactions and rollups."""
    assert_exact(connection)
    hall = make_hall(connection)
    hall.sell(0)
    assert_exact(connection)
    with closing(enter(psycopg.connect(database.dsn))) as late:
        log_holds(late, 3)
        log_holds(connection, 2)
        assert_exact(connection)
        roll_up(connection)
        assert_exact(connection)
        assert_equal(of_the_logs(late, QUESTIONS), of_the_views(late, QUESTIONS))
        with late.transaction():
            log_holds(late)
            assert_equal(of_the_logs(late, QUESTIONS), of_the_views(late, QUESTIONS))
        late.commit()
    assert_exact(connection)
    roll_up_all(connection)
    assert_exact(connection)
    hall.sell(1, session="ben")
    assert_exact(connection)


# How far the transaction counter of the new server is from that of the old, and whether the number
# of the server distinguishes them: some hosts keep it to themselves.
COUNTERS = ["lower", "lower, server unknown", "higher", "higher, server unknown"]


@on_another_server
@pytest.mark.parametrize("counter", COUNTERS)
def test_a_restored_database_counts_on(
    owner: Connection,
    database: Database,
    there: Database,
    connect: Connect,
    counter: str,
) -> None:
    restored = enter(connect(there))
    is_lower, is_known = counter.startswith("lower"), "unknown" not in counter
    if is_lower:
        pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    if not is_lower:
        pass_by(restored, next_transaction(owner) + 10_000)
    copy(database, there)
    mark = "SELECT min(watermark::text::bigint) FROM metric_watermarks"
    assert (value(restored, mark) > next_transaction(restored) + 1000) is is_lower
    if not is_known:
        restored.execute("UPDATE metric_watermarks SET system_identifier = NULL")

    # What has come with the dump is counted, and what is new may not be: health reports that.
    assert_exact(restored)
    assert_restored_is_told(restored, is_lower or is_known)
    before = created(restored)
    log_holds(restored, 7)
    make_hall(restored).sell(0)
    assert created(restored) == (before if is_lower else before + 8)
    purge_history(restored)
    assert_restored_is_told(restored, is_lower or is_known)

    roll_up(restored)
    assert rollup_of(restored)[0] == "OK"
    assert created(restored) == before + 8
    assert_goes_on(restored, there)


@on_another_server
def test_a_restored_database_that_passes_the_old_counter_before_its_first_rollup_counts_on(
    owner: Connection, database: Database, there: Database, connect: Connect
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    copy(database, there)
    restored.execute("UPDATE metric_watermarks SET system_identifier = NULL")
    before = created(restored)
    log_holds(restored, 7)
    pass_by(restored, next_transaction(owner))
    log_holds(restored, 5)
    assert_restored_is_told(restored, is_told=True)
    roll_up(restored)
    assert created(restored) == before + 12
    assert_goes_on(restored, there)


def assert_restored_is_told(connection: Connection, is_told: bool) -> None:
    status, message = rollup_of(connection)
    assert (status, "restored" in message) == (("CRITICAL", True) if is_told else ("OK", False))


@on_another_server
def test_a_database_restored_twice_counts_on(
    owner: Connection,
    database: Database,
    there: Database,
    connect: Connect,
    cluster: Cluster,
) -> None:
    """There, with a lower counter, and back again, with a part that is not rolled up each time."""
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    copy(database, there)
    roll_up(restored)
    fill(restored, there)
    for back in throw_away_database(cluster, None):
        copy(there, back)
        home = enter(connect(back))
        assert_exact(home)
        log_holds(home, 7)
        assert_restored_is_told(home, is_told=True)
        roll_up(home)
        assert rollup_of(home)[0] == "OK"
        assert_goes_on(home, back)


@on_another_server
def test_a_dump_taken_while_everybody_is_at_work_counts_on(
    owner: Connection, database: Database, there: Database, connect: Connect
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    with storm(owner, database, rollups=(500_000, 50)):
        roll_up(owner)
        copy(database, there)
    log_holds(restored, 7)
    roll_up(restored)
    assert_goes_on(restored, there)


@on_another_server
def test_a_restored_log_is_adopted_when_nobody_writes_and_gives_up_until_then(
    owner: Connection, database: Database, there: Database, connect: Connect
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    copy(database, there)
    with closing(enter(psycopg.connect(there.dsn))) as writer:
        log_holds(writer, 7)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            roll_up(restored)
        assert_restored_is_told(restored, is_told=True)
        writer.commit()
    roll_up(restored)
    assert_goes_on(restored, there)


def test_a_copy_within_the_server_counts_on_as_if_nothing_had_happened(
    owner: Connection, database: Database, cluster: Cluster
) -> None:
    fill(owner, database)
    owner.close()
    for copied in throw_away_database(cluster, database.name):
        with closing(enter(psycopg.connect(copied.dsn, autocommit=True))) as connection:
            assert rollup_of(connection)[0] == "OK"
            assert_goes_on(connection, copied)


@on_another_server
@pytest.mark.parametrize(
    "sabotage",
    [
        Edit(
            "is_restored_log",
            "IF v_mark.watermark > pg_snapshot_xmax(pg_current_snapshot()) THEN",
            "IF false THEN RETURN false; ELSE RETURN false;",
        ),
        Edit("adopt_restored_log", "restored_id = v_last_id", "restored_id = 0"),
        Edit("adopt_restored_log", "'0'::xid8", "v_mark.watermark"),
        Edit("adopt_restored_log", "v_mark.last_folded_id\n    );", "0\n    );"),
    ],
    ids=[
        "a watermark in the future is not noticed",
        "restored lines are recognised by their transactions",
        "lines written before the first rollup are left out",
        "lines in the rollups are rolled up again",
    ],
)
def test_a_sabotaged_adoption_is_found_out(
    owner: Connection,
    database: Database,
    there: Database,
    connect: Connect,
    sabotage: Edit,
) -> None:
    restored = enter(connect(there))
    pass_by(owner, next_transaction(restored) + 10_000)
    fill(owner, database)
    roll_up_all(owner)
    log_holds(owner)
    copy(database, there)
    restored.execute("UPDATE metric_watermarks SET system_identifier = NULL")
    sabotage(restored)
    log_holds(restored, 7)
    roll_up(restored)
    # What came with the dump bears numbers that this server has not reached yet, and will.
    pass_by(restored, next_transaction(owner))
    with pytest.raises(DisagreementError):
        assert_goes_on(restored, there)
