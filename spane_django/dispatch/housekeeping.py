"""Housekeeping: what has been kept long enough goes, a little at a time, beside the timers.

The leader of the schedulers does it: data of workflows that keep none are cleared every few
seconds, and once an hour the executions, signals and audit entries that have outlived their keep
are deleted.
Each call is one short transaction, so that timers fire in time however large the backlog is.
Nothing is remembered: a leader that ends, or another one that begins, starts from what is there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from ..conf import settings
from ..engine.clear import clear
from ..engine.prune import outlived, prune, prune_audit, prune_signals

PRUNE_SECONDS = 3_600.0
# Smaller than by hand: it shares the database with the workers.
BATCH = 200


class Housekeeping:
    """A duty of the scheduler; see `scheduler.Duty`."""

    def __init__(self) -> None:
        self._clear_at = self._prune_at = 0.0
        self._steps: Iterator[int] | None = None

    def __call__(self, now: datetime) -> bool:
        """Do one step of what is due; say whether there is more."""
        return self._clear(now) | self._prune(now)

    def _clear(self, now: datetime) -> bool:
        if time.monotonic() < self._clear_at:
            return False
        has_more = clear(now=now, batch=BATCH) == BATCH
        self._clear_at = 0.0 if has_more else time.monotonic() + settings.SWEEP_SECONDS
        return has_more

    def _prune(self, now: datetime) -> bool:
        if self._steps is None:
            if time.monotonic() < self._prune_at:
                return False
            self._prune_at = time.monotonic() + PRUNE_SECONDS
            self._steps = _steps(now)
        # A step that fails ends the generator: the rest is done in an hour.
        if next(self._steps, None) is None:
            self._steps = None
        return self._steps is not None


def _steps(now: datetime) -> Iterator[int]:
    yield from prune(outlived(now=now), batch=BATCH)
    yield from prune_signals(now=now)
    yield from prune_audit(now=now)
