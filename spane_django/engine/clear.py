"""Clearing: workflows that keep no data (``saveData``) lose them soon after an execution's end.

``failed`` clears executions that completed, ``none`` every one that has ended.  The rules:

* What goes: inputs, every output (the final one, too) and checkpoint, inputs of dead letters,
  data of log lines, payloads of signals, files.  What stays: statuses, times, chosen branches,
  errors, messages of the log, approvals, the audit.
* Not before a minute has passed since the end, so that whoever waited can read the outcome;
  not while the parent runs, which reads it, nor while a child does, which may be a sequel.
* What has been cleared runs never again: no retry, rerun or replay, as its data would be null.

The end of an execution only marks it; :func:`clear` does the rest, in batches.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from ..core.errors import SpaneError
from ..core.statuses import ExecutionStatus
from ..models import DeadLetter, Execution, LogLine, NodeRun, Signal
from ..models.execution import ExecutionQuerySet
from .db import atomic, connection
from .payloads import forget
from .rows import ExecutionRow
from .versions import prepared

GRACE = timedelta(minutes=1)
# What is still needed is looked at again after as long as it has ended, and at least so often.
_LONGEST_PAUSE = timedelta(hours=1)


class ClearedData(SpaneError):
    """The data of the execution are gone, as its workflow keeps none."""


def require_data(execution: Execution) -> None:
    """Refuse an execution that cannot run again.

    Raises:
        ClearedData: its data have been cleared.
    """
    if execution.cleared_at is not None:
        raise ClearedData(
            f"the data of execution {execution.pk} were cleared, as its workflow's saveData "
            "wants it: it cannot run again, start a new one"
        )


def mark_ended(rows: Sequence[ExecutionRow], *, now: datetime) -> None:
    """Note which executions, that end in this transaction, are to be cleared."""
    ids = [row.id for row in rows if _loses_data(row.version_id, row.status)]
    if ids:
        Execution.objects.filter(id__in=ids).update(clear_due_at=now + GRACE)


def clear(*, now: datetime, batch: int = 500) -> int:
    """Clear executions whose time has come; return how many were looked at.

    Args:
        batch: The most executions of one transaction.

    Locks:
        Those executions; what somebody else has locked is left for the next time.
    """
    due = Execution.objects.filter(clear_due_at__lte=now).order_by("clear_due_at")
    if not due.exists():
        return 0
    with atomic():
        skips = bool(connection().features.has_select_for_update_skip_locked)
        locked = due.select_for_update(of=("self",), skip_locked=skips)
        found = list(_with_relatives(locked)[:batch])
        ids = []
        for row in found:
            if not _loses_data(row.version_id, row.status):
                # It was opened again since it ended, and ended otherwise, if at all.
                Execution.objects.filter(pk=row.pk).update(clear_due_at=None)
            elif row.is_needed:
                _postpone(row, now=now)
            else:
                ids.append(row.pk)
        _clear(ids, now=now)
    # Their children have only waited for them; in a transaction of its own, as locks have an order.
    waited = Execution.objects.filter(parent_id__in=ids, clear_due_at__gt=now)
    waited.update(clear_due_at=now)
    return len(found)


def _loses_data(version_id: int, status: str) -> bool:
    """Say whether an execution of a version that is ``status`` keeps nothing."""
    match prepared(version_id).definition.save_data:
        case "none":
            return ExecutionStatus(status).is_final
        case "failed":
            return status == ExecutionStatus.COMPLETED
    return False


def _with_relatives(executions: ExecutionQuerySet) -> QuerySet[Any]:
    unfinished = Execution.objects.unfinished()
    return executions.only("id", "version_id", "status", "finished_at").annotate(
        is_needed=Exists(unfinished.filter(pk=OuterRef("parent_id")))
        | Exists(unfinished.filter(parent_id=OuterRef("pk")))
    )


def _postpone(execution: Execution, *, now: datetime) -> None:
    age = now - (execution.finished_at or now)
    at = now + min(max(age, GRACE), _LONGEST_PAUSE)
    Execution.objects.filter(pk=execution.pk).update(clear_due_at=at)


def _clear(ids: Collection[UUID], *, now: datetime) -> None:
    if not ids:
        return
    runs = NodeRun.objects.filter(execution_id__in=ids)
    Signal.objects.filter(node_run__in=runs).update(payload=None)
    runs.update(output=None, checkpoint=None, given_input=None)
    DeadLetter.objects.filter(execution_id__in=ids).update(input=None)
    LogLine.objects.filter(execution_id__in=ids, data__isnull=False).update(data=None)
    executions = Execution.objects.filter(id__in=ids)
    executions.update(input=None, clear_due_at=None, cleared_at=now)
    forget(ids)
