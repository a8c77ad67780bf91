"""Pruning: finished executions past their keep go, with everything that belongs to them.

In bounded batches, each its own transaction, oldest first, so that a large backlog neither
blocks workers nor fills memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from ..core.statuses import ExecutionStatus
from ..models import Attempt, DeadLetter, Execution, LogLine, NodeRun
from ..models.execution import ExecutionQuerySet
from .db import atomic


def prunable(
    *,
    before: datetime,
    statuses: Collection[ExecutionStatus],
    workflow: str | None = None,
) -> ExecutionQuerySet:
    """Return the executions that ended before an instant with one of the statuses.

    Raises:
        ValueError: a status is not final.
    """
    unfinished = [status.value for status in statuses if not status.is_final]
    if unfinished:
        raise ValueError(f"only finished executions can be pruned, not {', '.join(unfinished)}")
    executions = Execution.objects.final().filter(status__in=statuses, finished_at__lt=before)
    return executions.filter(workflow__key=workflow) if workflow else executions


def prune(executions: ExecutionQuerySet, *, batch: int = 500) -> Iterator[int]:
    """Delete executions with all that belongs to them; yield how many after each batch.

    Args:
        batch: How many executions one transaction deletes.
    """
    while ids := list(executions.order_by("finished_at").values_list("id", flat=True)[:batch]):
        with atomic():
            runs = NodeRun.objects.filter(execution_id__in=ids)
            Attempt.objects.filter(node_run__in=runs).delete()
            for model in (DeadLetter, LogLine, NodeRun):
                model.objects.filter(execution_id__in=ids).delete()
            Execution.objects.filter(id__in=ids).delete()
        yield len(ids)
