"""Reading rows for a node, wherever its code runs.

Django refuses to query on the thread of an event loop.  An ``async`` node that asks for another
node's data is given them all the same: one thread per process reads for all of them, and the
loop waits the moment that takes.

A database that is away is not the node's failure: it is asked again, as long as a lease lasts, and
the attempt is lost if that was in vain (`db.DatabaseLost`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from .db import drop_broken_connections, steadily

Read = TypeVar("Read")


def read(query: Callable[[], Read]) -> Read:
    """Return what ``query`` returns, called on this thread if it may query, else on the reader.

    Raises:
        DatabaseLost: the database stayed away.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return steadily(query)
    return reader(os.getpid()).submit(_fresh, query).result()


# By process: a fork inherits the pool, but not its thread.
@lru_cache(maxsize=1)
def reader(pid: int) -> ThreadPoolExecutor:
    """Return the thread that reads for all; `testing` puts another in its place."""
    return ThreadPoolExecutor(1, thread_name_prefix="spane-reader")


def _fresh(query: Callable[[], Read]) -> Read:
    drop_broken_connections()
    try:
        return steadily(query)
    finally:
        drop_broken_connections()
