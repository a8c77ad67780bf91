"""Time in a test: the machine's, plus how far the test has travelled.

Time goes on as ever, so that an instant which the code under test has read itself is never ahead
of the engine's.  Only while the engine works does it stand still: what is due is decided once,
however long the nodes take.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db.models import Min

from ..clock import machine_time
from ..core.statuses import ExecutionStatus
from ..models import Execution, Gate, NodeRun
from ..models.node_run import CLAIMABLE

# What passes between reading the clock and saying where to travel is no travel back.
_A_MOMENT = timedelta(seconds=1)


class Clock:
    """The clock that the package reads during a test."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._stopped_at: datetime | None = None

    def now(self) -> datetime:
        """Return the instant that it is in the test."""
        return self._stopped_at or machine_time() + self._ahead

    def set(self, instant: datetime) -> None:
        """Go on from ``instant``."""
        self._ahead = instant.astimezone(UTC) - machine_time()

    def travel(self, instant: datetime) -> None:
        """Go on from ``instant`` if time may go there.

        Raises:
            ValueError: it has no time zone, or lies behind although something has started.
        """
        if instant.tzinfo is None:
            raise ValueError(f"{instant} has no time zone: travel to an aware datetime")
        behind = self.now() - instant
        if behind <= timedelta() or not Execution.objects.exists():
            self.set(instant)
        elif behind > _A_MOMENT:
            raise ValueError(
                f"{instant} lies behind {self.now()}: travel back before anything has started"
            )

    @contextmanager
    def stopped(self) -> Iterator[datetime]:
        """Let it stand still during the block, which is given the instant."""
        self._stopped_at = self.now()
        try:
            yield self._stopped_at
        finally:
            self._stopped_at = None


def next_timer(now: datetime) -> datetime | None:
    """Return when time alone next brings something about: a retry, a wait's end, a deadline."""
    runs = NodeRun.objects.filter(CLAIMABLE)
    waiting = Execution.objects.filter(status=ExecutionStatus.PENDING)
    instants = [
        runs.filter(available_at__gt=now).aggregate(at=Min("available_at"))["at"],
        waiting.filter(start_at__gt=now).aggregate(at=Min("start_at"))["at"],
        Execution.objects.unfinished()
        .filter(deadline_at__gt=now)
        .aggregate(at=Min("deadline_at"))["at"],
    ]
    if runs.filter(available_at__lte=now).exists():
        shut = Gate.objects.filter(blocked_until__gt=now)
        instants.append(shut.aggregate(at=Min("blocked_until"))["at"])
    return min((at for at in instants if at is not None), default=None)
