"""What ``async`` nodes read with in a test: the test's own connections, lent to another thread.

Django refuses to query on the thread of an event loop, so the engine reads for ``async`` nodes
on a thread of its own (`engine.reading`).  A connection of its own would not see what a test has
written in the transaction that is rolled back at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ..engine import reading


@contextmanager
def shared_reader() -> Iterator[None]:
    """Let the engine read for ``async`` nodes with this thread's connections during the block."""
    lent = connections.all(initialized_only=True)
    for connection in lent:
        connection.inc_thread_sharing()
    try:
        with (
            ThreadPoolExecutor(1, initializer=_take, initargs=(lent,)) as reader,
            patch.object(reading, "reader", lambda pid: reader),
        ):
            yield
    finally:
        for connection in lent:
            connection.dec_thread_sharing()


def _take(lent: Sequence[BaseDatabaseWrapper]) -> None:
    for connection in lent:
        connections[connection.alias] = connection
