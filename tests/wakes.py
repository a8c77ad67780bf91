"""A dispatcher that needs no Redis: it keeps the wakes, and passes them on to who listens.

Tests name it with ``SPANE["DISPATCHER"]``; ``sent`` is what the engine has asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

PATH = f"{__name__}.wake"

sent: list[str] = []
listeners: list[Callable[[list[str]], None]] = []


def wake(queues: Iterable[str]) -> None:
    """Take a wake, in place of `spane_django.dispatch.rq.wake`."""
    woken = list(queues)
    sent.extend(woken)
    for listener in listeners.copy():
        listener(woken)


def broken(queues: Iterable[str]) -> None:
    """Fail, as a dispatcher may."""
    raise ConnectionError("nobody answers")
