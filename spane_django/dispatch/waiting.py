"""Waiting for the end of an execution, for a caller who wants what it comes to.

The rows are asked, at growing intervals: workers need not know that somebody waits, and nothing
is lost if Redis is.  No transaction is held meanwhile.  So few may wait at a time that a process
keeps threads for other work; who finds no room does not wait.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from uuid import UUID

from ..conf import settings
from ..engine.db import connection
from ..models import Execution

_FIRST_SECONDS = 0.01
_LONGEST_SECONDS = 0.25
_GROWTH = 1.5

_lock = Lock()
_waiting = 0


def wait_for_end(execution_id: UUID, *, seconds: float) -> bool:
    """Wait until an execution has ended, and say whether it has.

    Whoever is in a transaction does not wait: what was started in it runs only after it.

    Args:
        seconds: The longest wait.
    """
    if connection().in_atomic_block:
        return False
    with _place() as has_room:
        deadline, pause = time.monotonic() + (seconds if has_room else 0), _FIRST_SECONDS
        while not (has_ended := _has_ended(execution_id)):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(pause, left))
            pause = min(pause * _GROWTH, _LONGEST_SECONDS)
    return has_ended


@contextmanager
def _place() -> Iterator[bool]:
    """Take one of the places of this process for a while; yield whether there was one."""
    global _waiting  # one number of the process, under its lock
    with _lock:
        has_room = _waiting < settings.WAITERS
        _waiting += has_room
    try:
        yield has_room
    finally:
        with _lock:
            _waiting -= has_room


def _has_ended(execution_id: UUID) -> bool:
    return Execution.objects.final().filter(pk=execution_id).exists()
