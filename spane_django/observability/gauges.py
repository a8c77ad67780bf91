"""How things stand: what rows tell at the moment when somebody asks, in bounded looks at indexes.

History grows without end and is never counted here.  What waits is counted up to `CAP`, which
then means "at least"; what runs is bounded by the workers; the rest is the end of an index.  An
answer is good for `FRESH_SECONDS`, so that several who scrape cost no more than one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import Count, Q

from ..conf import settings
from ..core.statuses import ExecutionStatus
from ..engine.health import live_drains
from ..engine.lanes import oldest_due, queues_in_use
from ..models import DeadLetter, Execution, Lease, NodeRun

CAP = 100_000
FRESH_SECONDS = 3.0

Listeners = Callable[[str], int | None]
"""How many workers listen on a queue; None if nobody knows."""


@dataclass(slots=True, kw_only=True)
class QueueGauges:
    """One queue.

    Attributes:
        ready: Node runs that are due, those that a gate holds back included.
        delayed: Node runs that wait for a time.
        active: Node runs that workers hold.
        drains: Workers at work.
        workers: Workers at work or listening.
        latency_seconds: How long the node run that has waited longest could have been claimed.
    """

    ready: int = 0
    delayed: int = 0
    active: int = 0
    drains: int = 0
    workers: int = 0
    latency_seconds: float = 0.0


@dataclass(slots=True, kw_only=True)
class Gauges:
    """All of it.

    Attributes:
        executions: Those that have not ended, by status.
        scheduler_age_seconds: None: no scheduler has ever led.
    """

    queues: dict[str, QueueGauges]
    executions: dict[str, int] = field(default_factory=dict)
    open_dead_letters: int = 0
    scheduler_age_seconds: float | None = None


class _Kept:
    """The last answer, and since when it is good."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.gauges: Gauges | None = None
        self.read_at = 0.0


_kept = _Kept()


def gauges(listeners: Listeners, *, now: datetime) -> Gauges:
    """Return how things stand, or stood a moment ago."""
    with _kept.lock:
        if _kept.gauges is None or time.monotonic() > _kept.read_at + FRESH_SECONDS:
            _kept.gauges = read(listeners, now=now)
            _kept.read_at = time.monotonic()
        return _kept.gauges


def forget() -> None:
    """Look anew the next time."""
    _kept.gauges = None


def read(listeners: Listeners, *, now: datetime) -> Gauges:
    """Look at everything.  A constant number of queries for each queue in use."""
    drains = live_drains(now=now)
    active = _active()
    waiting = list(queues_in_use())
    names = sorted({settings.QUEUE, *drains, *active, *waiting})
    queues = {name: QueueGauges(drains=drains[name], active=active[name]) for name in names}
    for name, queue in queues.items():
        queue.workers = max(queue.drains, listeners(name) or 0)
    for name in waiting:
        _look(name, queues[name], now=now)
    return Gauges(
        queues=queues,
        executions=_executions(),
        open_dead_letters=DeadLetter.objects.open().order_by()[:CAP].count(),
        scheduler_age_seconds=_scheduler_age(now),
    )


def _active() -> Counter[str]:
    # No more than workers hold: their number is the bound.
    running = NodeRun.objects.running().order_by().values_list("queue")
    return Counter(dict(running.annotate(number=Count("id"))))


def _look(name: str, queue: QueueGauges, *, now: datetime) -> None:
    since = oldest_due(name, now=now)
    queue.latency_seconds = (now - since).total_seconds() if since else 0.0
    # In the order of the index, which begins with what is due, so that a bound hides what is not.
    runs = NodeRun.objects.unclaimed().filter(queue=name, available_at__isnull=False)
    first = runs.order_by("-priority", "lane", "available_at").values("id", "available_at")[:CAP]
    is_due = Q(available_at__lte=now)
    counted = first.aggregate(ready=Count("id", filter=is_due), delayed=Count("id", filter=~is_due))
    queue.ready, queue.delayed = counted["ready"], counted["delayed"]


def _executions() -> dict[str, int]:
    return {
        status.value: Execution.objects.filter(status=status).order_by()[:CAP].count()
        for status in ExecutionStatus
        if not status.is_final
    }


def _scheduler_age(now: datetime) -> float | None:
    renewed_at = Lease.objects.filter(name="scheduler").values_list("renewed_at", flat=True).first()
    return None if renewed_at is None else max(0.0, (now - renewed_at).total_seconds())
