"""Telling workers that there is something to do: a hint, sent after the commit.

A ready row *is* the outbox.  Losing a wake, or sending two, changes nothing but latency: the
sweep finds what nobody woke.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..conf import wake_function
from .db import on_commit


def wake_on_commit(queues: Iterable[str]) -> None:
    """Wake the workers of ``queues`` once the current transaction has committed."""
    wanted = sorted(set(queues))
    if wanted:
        # A function, not a partial: Django names what failed by its __qualname__.
        on_commit(lambda: wake(wanted))


def wake(queues: Iterable[str]) -> None:
    """Wake the workers of ``queues`` now."""
    wanted = sorted(set(queues))
    if wanted:
        wake_function()(wanted)
