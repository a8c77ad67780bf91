"""How much there is to do, who does it, and what has become of the rest.

What is waiting, delayed and active is counted in full: the partial indexes `spane_claimable`
and `spane_running` hold just that.  History grows without end, so counting it is bounded:

* executions of one status are counted up to `CAP`, by the index on the status;
* completed and failed node runs are counted among the `RECENT` newest of all queues, by the
  primary key.

A number that has reached its bound means "at least".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, QuerySet

from ..conf import settings
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import Execution, NodeRun, Worker
from .lanes import oldest_due, queues_in_use
from .scope import EVERYTHING, Scope

CAP = 100_000
RECENT = 20_000

# Far enough for every timer; the index needs an upper bound to be a range.
_EVER = timedelta(days=36_500)


@dataclass(slots=True, kw_only=True)
class QueueStats:
    """One queue.

    Attributes:
        waiting: Node runs that could be claimed now.
        delayed: Node runs that wait for a time: a retry, a delay.
        active: Node runs that workers hold.
        completed: Among the newest node runs, see the module.
        failed: Likewise.
        workers: Drains at work on the queue; an idle RQ worker has none.
        oldest_ready_seconds: How long the node run that has waited longest could have been
            claimed; None: nothing waits.
    """

    waiting: int = 0
    delayed: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    workers: int = 0
    oldest_ready_seconds: float | None = None


@dataclass(slots=True, kw_only=True)
class Stats:
    """All queues that are in use, and the executions by status."""

    queues: dict[str, QueueStats]
    executions: dict[str, int] = field(default_factory=dict)


def queue_stats(*, now: datetime, scope: Scope = EVERYTHING) -> Stats:
    """Return the numbers of this moment, and of history, in a constant number of queries.

    Args:
        scope: Whose executions and nodes are counted.  Workers are nobody's.
    """
    queues = defaultdict(QueueStats, live_queues(now=now, scope=scope))
    for row in _recent(scope):
        queue = queues[row["queue"]]
        queue.completed, queue.failed = row["completed"], row["failed"]
    return Stats(queues=dict(sorted(queues.items())), executions=_executions(scope))


def live_queues(*, now: datetime, scope: Scope = EVERYTHING) -> dict[str, QueueStats]:
    """Return how the queues stand, without history: what that costs does not grow with it."""
    queues: dict[str, QueueStats] = defaultdict(QueueStats, {settings.QUEUE: QueueStats()})
    for row in _ready(now, scope):
        queue = queues[row["queue"]]
        queue.waiting, queue.delayed = row["waiting"], row["delayed"]
        queue.oldest_ready_seconds = _age(row["oldest"], now)
    for row in _count_by_queue(scope.within(NodeRun.objects.running())):
        queues[row["queue"]].active = row["number"]
    for row in _count_by_queue(scope.within(Worker.objects.alive(now - settings.lease))):
        queues[row["queue"]].workers = row["number"]
    return dict(sorted(queues.items()))


def lags(*, now: datetime) -> dict[str, float]:
    """Return, for each queue in which a worker could take something, for how long it has waited.

    In seconds.  Some looks at an index for each queue, however much there is in it.
    """
    oldest = {queue: oldest_due(queue, now=now) for queue in queues_in_use()}
    return {queue: (now - since).total_seconds() for queue, since in oldest.items() if since}


def _ready(now: datetime, scope: Scope = EVERYTHING) -> Iterable[Mapping[str, Any]]:
    is_due = Q(available_at__lte=now)
    claimable: QuerySet[NodeRun] = NodeRun.objects.claimable(now + _EVER)
    runs = scope.within(claimable).order_by().values("queue")
    return runs.annotate(
        waiting=Count("id", filter=is_due),
        delayed=Count("id", filter=~is_due),
        oldest=Min("available_at", filter=is_due),
    )


def _recent(scope: Scope) -> Iterable[Mapping[str, Any]]:
    newest = scope.within(NodeRun.objects.order_by("-id")).values("id")[:RECENT]
    runs = NodeRun.objects.filter(id__in=newest).order_by().values("queue")
    return runs.annotate(
        completed=Count("id", filter=Q(status=NodeStatus.COMPLETED)),
        failed=Count("id", filter=Q(status=NodeStatus.FAILED)),
    )


def _count_by_queue(rows: Any) -> Iterable[Mapping[str, Any]]:
    by_queue = rows.order_by().values("queue")
    counted: Iterable[Mapping[str, Any]] = by_queue.annotate(number=Count("pk"))
    return counted


def _executions(scope: Scope) -> dict[str, int]:
    executions = scope.within(Execution.objects.order_by())
    return {
        status.value: executions.filter(status=status)[:CAP].count() for status in ExecutionStatus
    }


def _age(instant: datetime | None, now: datetime) -> float | None:
    return None if instant is None else (now - instant).total_seconds()
