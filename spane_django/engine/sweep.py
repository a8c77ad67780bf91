"""The sweep: it finds what nobody woke, what nobody holds any more, and what has run out of time.

It is periodic, idempotent and may run in several processes at once.  A lost worker's nodes go
the way of every other end of an attempt: their outcome is `Lost`, and `settle` does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Exists, Min, OuterRef

from ..conf import settings
from ..core.outcome import Lost
from ..core.statuses import ExecutionEvent, ExecutionStatus
from ..models import Execution, Gate, NodeRun, Worker
from .bulk import advance_abandoned
from .claim import Claim, held_claim
from .control import locked
from .db import atomic
from .ending import end
from .finished import Finished
from .followup import follow_up_all, follow_up_on_commit
from .gates import forget_idle
from .lanes import first_due, has_due, queues_in_use
from .promote import promote
from .settle import settle

# Workers are kept for a day after they stopped: long enough to see who ran what last night.
_WORKER_KEPT = timedelta(days=1)


@dataclass(slots=True, kw_only=True)
class Swept:
    """What a sweep found.

    Attributes:
        recovered: Node runs taken back from dead workers.
        promoted: Executions whose delayed start had come.
        expired: Executions that outran their deadline.
        operated: Executions dealt with in bulk operations that nobody else drives.
        queues: Queues with node runs that may be claimed now: wake them.
    """

    recovered: int = 0
    promoted: int = 0
    expired: int = 0
    operated: int = 0
    queues: set[str] = field(default_factory=set)


def sweep(*, now: datetime) -> Swept:
    """Do everything that time alone brings about, and say which queues have work."""
    swept = Swept(recovered=recover(now=now))
    forget_idle(now=now)
    swept.promoted, swept.expired = fire_timers(now=now)
    swept.operated = advance_abandoned(now=now)
    swept.queues = follow_up_all(now=now) | due_queues(now=now)
    return swept


def fire_timers(*, now: datetime) -> tuple[int, int]:
    """Start executions that are due and end those past their deadline; return how many of each."""
    return promote(now=now), expire(now=now)


def recover(*, now: datetime) -> int:
    """Take the node runs of dead workers back; return how many.

    A worker is dead when its heartbeat is older than the lease.  It is marked as stopped first,
    so that it cannot go on should it wake up again.
    """
    silent = Worker.objects.silent(now - settings.lease)
    gone = list(silent.values_list("id", flat=True)[: settings.BATCH])
    Worker.objects.filter(id__in=gone, stopped_at=None).update(stopped_at=now)
    recovered = 0
    while claims := _orphans():
        finished = [
            Finished(claim=claim, outcome=Lost(), started_at=started_at, finished_at=now)
            for claim, started_at in claims
        ]
        settle(finished, now=now)
        recovered += len(claims)
    Worker.objects.filter(stopped_at__lt=now - _WORKER_KEPT).delete()
    return recovered


def expire(*, now: datetime) -> int:
    """End executions that have outrun their deadline; return how many."""
    overdue = Execution.objects.overdue(now).order_by("id").values_list("id", flat=True)
    return sum(_expired(execution_id, now=now) for execution_id in overdue[: settings.BATCH])


def due_queues(*, now: datetime) -> set[str]:
    """Return the queues that have node runs to be claimed now."""
    return {queue for queue in queues_in_use() if has_due(queue, now=now)}


def next_due(queue: str, *, now: datetime) -> datetime | None:
    """Return when the next timer of a queue fires; delayed starts and gates of any included."""
    gates = Gate.objects.filter(blocked_until__gt=now)
    starts = Execution.objects.filter(status=ExecutionStatus.PENDING)
    instants = [
        first_due(queue, now=now),
        gates.aggregate(at=Min("blocked_until"))["at"],
        starts.aggregate(at=Min("start_at"))["at"],
    ]
    return min((at for at in instants if at is not None), default=None)


def _orphans() -> list[tuple[Claim, datetime | None]]:
    at_work = Worker.objects.filter(pk=OuterRef("worker_id"), stopped_at=None)
    runs = NodeRun.objects.running().filter(~Exists(at_work)).select_related("execution")
    chosen = runs.order_by("execution_id", "id")[: settings.BATCH]
    return [(held_claim(run), run.started_at) for run in chosen]


def _expired(execution_id: UUID, *, now: datetime) -> bool:
    with atomic():
        execution = locked(execution_id)
        has_time = execution.deadline_at is None or execution.deadline_at > now
        if has_time or ExecutionStatus(execution.status).is_final:
            return False
        reason = f"the deadline of {execution.deadline_at:%Y-%m-%d %H:%M:%S} UTC has passed"
        todo = end(execution, ExecutionEvent.FAILED, reason=reason, now=now)
        follow_up_on_commit(todo, now=now)
    return True
