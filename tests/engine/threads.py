"""Work on other connections: threads that close what they opened, and waits for locks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import connection, connections, transaction

Result = TypeVar("Result")

DEADLINE = 10.0  # seconds; only a test that fails waits for it


def in_threads(works: list[Callable[[], Result]]) -> list[Result]:
    """Do all works at once, each on a thread and a connection of its own."""
    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result() for future in [pool.submit(_closing, work) for work in works]]


@contextmanager
def elsewhere() -> Iterator[Callable[[Callable[[], Result]], Future[Result]]]:
    """Yield a function that does a work on another connection while the block goes on."""
    with ThreadPoolExecutor(4) as pool:
        yield lambda work: pool.submit(_closing, work)


@contextmanager
def holding(statement: str, *parameters: Any) -> Iterator[None]:
    """Hold the locks of a statement on this connection during the block."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        yield


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that another thread brings about."""
    give_up = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.005)


def somebody_waits_for_me() -> bool:
    """Say whether another connection waits for a lock that this one holds (PostgreSQL)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks"
            " WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        (waiting,) = cursor.fetchone()
    return bool(waiting)


def _closing(work: Callable[[], Result]) -> Result:
    try:
        return work()
    finally:
        connections.close_all()
