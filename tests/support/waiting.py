"""Waiting for something to become true."""

import time
from collections.abc import Sequence
from typing import Any

from tests.support.queries import Connection

PATIENCE_SECONDS = 30.0


def await_true(
    connection: Connection,
    question: str,
    arguments: Sequence[Any] = (),
    patience: float = PATIENCE_SECONDS,
    every: float = 0.01,
) -> None:
    """Ask until the answer is true: `every` so many seconds, for as long as patience lasts."""
    deadline = time.monotonic() + patience
    while not connection.execute(question.encode(), arguments).fetchall()[0][0]:
        assert time.monotonic() < deadline, f"still not true: {question}"
        time.sleep(every)
