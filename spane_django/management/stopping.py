"""Stopping a command that runs for ever: Ctrl-C and SIGTERM mean the same, and a clean end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals() -> Iterator[None]:
    """End the block, without an error, at the first SIGTERM or SIGINT, wherever it is.

    A second one ends the process at once.  Only for blocks that may be interrupted anywhere,
    such as those whose work is all in transactions.
    """
    before = {number: signal.signal(number, _interrupt) for number in _SIGNALS}
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: object) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise KeyboardInterrupt


@contextmanager
def flag_signals(stop: Event) -> Iterator[None]:
    """Set ``stop`` at the first SIGTERM or SIGINT; a second one ends the process at once.

    For blocks that must come to their own end.
    """

    def note(_number: int, _frame: object) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        stop.set()

    before = {number: signal.signal(number, note) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
