"""P1, P2 and the peers: holding seats, spread over all shows or all in one block of 20."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import dict_row

from bench.harness import BASE, Bench, Connection, Load, Ratio, alternate, read
from bench.report import Fact, Result, Row

PEERS = {
    "advisory_lock": "an advisory lock for the show",
    "serializable": "look, then insert, SERIALIZABLE",
    "client_order": "updates in the client's order",
}
SPREAD, HOT = "choose_spread.sql", "choose_hot.sql"
OURS, FLOOR = "call_ours.sql", "call_floor.sql"
TURNOVER = "call_ours_and_give_back.sql"
PEER_DATABASE = "bench_peers"


@dataclass(frozen=True)
class Outcome:
    """What the audit log has of a slice, as counts; `wal_bytes`: of the server."""

    double_winners: int
    won: int
    refused: int
    given_back: int
    deadlocks: int
    wal_bytes: int


@dataclass(frozen=True)
class Slice:
    load: Load
    outcome: Outcome


def last_event(connection: Connection, schema: str) -> int:
    row = connection.execute(
        sql.SQL("SELECT COALESCE(max(id), 0) FROM {}.seat_reservation_audit_log").format(
            sql.Identifier(schema)
        )
    ).fetchone()
    assert row is not None
    return int(row[0])


def outcome(connection: Connection, schema: str, since: int, wal_from: str) -> Outcome:
    """Count in the audit log in `schema` what happened after event `since`."""
    cursor = connection.cursor(row_factory=dict_row)
    query = sql.SQL(read("outcome.sql")).format(schema=sql.Identifier(schema))
    row = cursor.execute(query, {"since": since, "wal_from": wal_from}).fetchone()
    assert row is not None
    return Outcome(**{name: int(value) for name, value in row.items()})


def slice_of(
    bench: Bench, template: str, choose: str, call: str, clients: int
) -> Callable[[int], Slice]:
    """A slice of one load. Raises RuntimeError if a seat had two winners."""
    schema = "public" if call in (OURS, TURNOVER) else "floor"
    settings = {"default_transaction_isolation": "serializable"} if "serializable" in call else {}

    def run(pair: int) -> Slice:
        with bench.copy(template) as database, bench.connect(database) as connection:
            since = last_event(connection, schema)
            (wal_from,) = connection.execute(
                "SELECT pg_current_wal_insert_lsn()::text"
            ).fetchone() or ("",)
            load = bench.run(
                database, (choose, call), clients=clients, seed=pair, settings=settings
            )
            measured = Slice(load, outcome(connection, schema, since, wal_from))
        if choose == SPREAD and load.answers > bench.options.seats // 2:
            raise RuntimeError(
                f"{call}: all seats were requested within a slice: use a lower --seconds"
            )
        if measured.outcome.double_winners:
            raise RuntimeError(f"{call}: two winners for one seat: {measured}")
        return measured

    return run


def rates(slices: tuple[Slice, ...]) -> list[float]:
    return [measured.load.per_second for measured in slices]


def row(
    key: str,
    what: str,
    against: str,
    ours: tuple[Slice, ...],
    theirs: tuple[Slice, ...],
    bar: float | None = None,
    note: str = "",
) -> Row:
    """Compare two loads by their answers a second."""
    return Row(
        key,
        what,
        against,
        "/s",
        statistics.median(rates(ours)),
        statistics.median(rates(theirs)),
        Ratio.of(rates(ours), rates(theirs)),
        bar,
        note=note,
    )


def refused_share(slices: tuple[Slice, ...]) -> float:
    """Calls that were refused, in percent of all."""
    refused = sum(measured.outcome.refused for measured in slices)
    return 100 * refused / max(1, sum(measured.load.answers for measured in slices))


def spread(bench: Bench) -> Iterator[Result]:
    """P1: against the floor."""
    clients = bench.options.spread_clients
    ours, floor = alternate(
        bench.options.pairs,
        slice_of(bench, BASE, SPREAD, OURS, clients),
        slice_of(bench, BASE, SPREAD, FLOOR, clients),
    )
    yield row("P1", f"hold 2 seats, spread, {clients} clients", "the floor", ours, floor, 0.60)
    yield Fact("P1", "refused, though each seat was asked for once", refused_share(ours), "%", 1.0)
    for name, slices in (("ours", ours), ("the floor", floor)):
        wal = [measured.outcome.wal_bytes / measured.outcome.won for measured in slices]
        yield Fact("", f"WAL a hold of 2 seats, {name}", statistics.median(wal), "bytes")


def hot(bench: Bench) -> Iterator[Result]:
    """P2: against P1. After ten holds the block is full, and all answers are refusals.

    The bar is about this case. Beside it, without a bar, winners release their seats at once: then
    some calls always win, and those that do have waited for a lock.
    """
    clients = bench.options.hot_clients
    full, turnover, spread_ = alternate(
        bench.options.pairs,
        slice_of(bench, BASE, HOT, OURS, clients),
        slice_of(bench, BASE, HOT, TURNOVER, clients),
        slice_of(bench, BASE, SPREAD, OURS, bench.options.spread_clients),
    )
    yield row(
        "P2", f"{clients} clients want seats of one block of 20", "P1's answers", full, spread_, 2.0
    )
    yield row("P2", "the same, winners give back at once", "P1's answers", turnover, spread_)
    both = full + turnover
    yield Fact("P2", "deadlocks", sum(s.outcome.deadlocks for s in both), "", 0)
    yield Fact("P2", "seats with two winners", sum(s.outcome.double_winners for s in both), "", 0)
    won = [100 * s.outcome.won / s.load.answers for s in turnover]
    yield Fact("P2", "answers that won, where winners give back", statistics.median(won), "%")


def peers(bench: Bench) -> Iterator[Result]:
    """Ours beside other ways to serialize buyers, spread and hot."""
    options = bench.options
    bench.prepare(PEER_DATABASE, BASE, "peer_tables.sql", *(f"peer_{peer}.sql" for peer in PEERS))
    for load, choose, clients in (
        ("spread", SPREAD, options.spread_clients),
        ("hot", HOT, options.hot_clients),
    ):
        ours, *theirs = alternate(
            options.pairs,
            slice_of(bench, BASE, choose, OURS, clients),
            *(
                slice_of(bench, PEER_DATABASE, choose, f"call_{peer}.sql", clients)
                for peer in PEERS
            ),
        )
        for description, slices in zip(PEERS.values(), theirs, strict=True):
            tried_again = sum(s.load.retries for s in slices) / sum(s.load.answers for s in slices)
            deadlocks = sum(s.outcome.deadlocks for s in slices)
            yield row(
                "peer",
                f"hold 2 seats, {load}",
                description,
                ours,
                slices,
                note=f"bare tables; {deadlocks:,} deadlocks, {tried_again:.2f} retries a call",
            )
