"""What has become of the demo's executions, read from the database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Max, Min, QuerySet

from spane_django.core.statuses import ExecutionStatus, NodeStatus
from spane_django.models import Execution, NodeRun

from .traffic import Scene

_RAN = [NodeStatus.COMPLETED, NodeStatus.FAILED]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What has become of the executions so far.

    Attributes:
        statuses: For each workflow, how many of its executions have each status.
        unexpected: Those that have ended otherwise than they were meant to.
        nodes: Node runs that have completed or failed.
        seconds: From the first start to the last end, or to now while some have not ended.
    """

    statuses: Mapping[str, Counter[str]]
    unexpected: list[UUID]
    nodes: int
    seconds: float

    @property
    def totals(self) -> Counter[str]:
        """How many executions have each status."""
        return sum(self.statuses.values(), Counter())

    @property
    def ended(self) -> int:
        return sum(count for status, count in self.totals.items() if _is_final(status))

    @property
    def nodes_per_second(self) -> float:
        return self.nodes / self.seconds if self.seconds > 0 else 0.0


def read(started: Mapping[UUID, Scene], *, now: datetime) -> Outcome:
    """Read what has become of the executions that `traffic.start` has started."""
    executions = _executions(started)
    found = [row for row in executions.values_list("pk", "status") if row[0] in started]
    statuses: dict[str, Counter[str]] = {}
    # Children, and what follows an end, are executions as well: their nodes count.
    since = Execution.objects.filter(pk__gte=min(started))
    for pk, status in found:
        statuses.setdefault(started[pk].workflow.id, Counter())[status] += 1
    times = executions.aggregate(begin=Min("created_at"), end=Max("finished_at"))
    has_ended = all(_is_final(status) for _, status in found)
    return Outcome(
        statuses=statuses,
        unexpected=[pk for pk, status in found if _is_final(status) and status != started[pk].ends],
        nodes=NodeRun.objects.filter(execution__in=since, status__in=_RAN).count(),
        seconds=((times["end"] if has_ended else now) - times["begin"]).total_seconds(),
    )


def _executions(started: Mapping[UUID, Scene]) -> QuerySet[Execution]:
    # Ids are in the order of time: a range of them is one condition, however many they are.
    workflows = {scene.workflow.id for scene in started.values()}
    return Execution.objects.top_level().filter(
        pk__range=(min(started), max(started)), workflow__key__in=workflows
    )


def _is_final(status: str) -> bool:
    return ExecutionStatus(status).is_final
