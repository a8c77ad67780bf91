"""Who listens to streams in this process: how many may, and the one thread that reads for all.

A stream holds no thread and no database connection of its own: all streams of a process read on
one thread, whose one connection is closed when the last of them has gone.  So streams leave the
threads and the connections of ordinary requests alone, however many listen.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from asgiref.sync import SyncToAsync
from django.db import connections

from ..conf import settings
from ..core.errors import SpaneError

Read = TypeVar("Read")


class TooManyListeners(SpaneError):
    """So many streams are open that no more are let in: poll, or try again later."""


@contextmanager
def seat(user_id: object) -> Iterator[None]:
    """Be one of those who listen.

    Raises:
        TooManyListeners: as `require_room`.
    """
    with _lock:
        require_room(user_id)
        _taken[user_id] += 1
    try:
        yield
    finally:
        with _lock:
            _taken[user_id] -= 1
            if not _taken[user_id]:
                del _taken[user_id]
            if not _taken:
                _reader().submit(connections.close_all)


def require_room(user_id: object) -> None:
    """Refuse a user's stream if there is no room for it.

    Raises:
        TooManyListeners: the process, or the user in it, has as many as the settings allow.
    """
    if _taken.total() >= settings.STREAMS:
        raise TooManyListeners(f"this server has {settings.STREAMS} streams open already")
    if _taken[user_id] >= settings.STREAMS_PER_USER:
        raise TooManyListeners(f"you have {settings.STREAMS_PER_USER} streams open already")


async def in_reader(read: Callable[[], Read]) -> Read:
    """Call a function on the thread that reads for all streams."""
    return await asyncio.get_running_loop().run_in_executor(_reader(), read)


def give_back_thread() -> None:
    """Give back the thread, and with it the connection, that admitted this request to a stream.

    Django keeps for each request the thread on which its middleware and its view ran, for as long
    as the request takes; that of a stream has nothing more to do.
    """
    context = SyncToAsync.thread_sensitive_context.get(None)
    executor = SyncToAsync.context_to_thread_executor.pop(context, None) if context else None
    if executor is not None:
        executor.submit(connections.close_all)
        executor.shutdown(wait=False)


def listening() -> int:
    """Return how many streams are open in this process."""
    return _taken.total()


@lru_cache(maxsize=1)
def _reader() -> ThreadPoolExecutor:
    # Made when it is first used: a process that forks takes no thread along.
    return ThreadPoolExecutor(1, thread_name_prefix="spane-stream")


_lock = threading.Lock()
_taken: Counter[object] = Counter()
