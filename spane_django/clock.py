"""The clock of the edges: what verbs, pages and commands call "now".

They read it once and hand the instant down; the core and the engine are told, and read no clock.
The time of the machine is the answer unless a test travels (`spane_django.testing`), and this
module is the one place where it does: nothing else need be patched.  A process that has found its
machine's clock to be wrong (`dispatch.timekeeping`) corrects it here, for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def now() -> datetime:
    """Return the current instant; aware, UTC."""
    return _clock()


def machine_time() -> datetime:
    """Return the current instant of the machine, corrected, whoever travels."""
    return datetime.now(UTC) + _correction


def correction() -> timedelta:
    """Return what is added to what the machine says."""
    return _correction


def correct(by: timedelta) -> None:
    """Add so much to what the machine says from now on, on every thread of this process."""
    global _correction
    _correction = by


@contextmanager
def telling(clock: Clock) -> Iterator[None]:
    """Let another clock answer :func:`now` during the block, on every thread."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before


_clock: Clock = machine_time
_correction = timedelta()
