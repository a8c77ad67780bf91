"""Promoting: executions that were accepted but not started begin when they are due or have a slot.

How many executions of a slot run is counted from their rows.  Who fills a slot holds the lock
of the workflow, so that two cannot fill the same place; it is taken before any execution's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Q

from ..conf import settings
from ..core.statuses import ExecutionEvent, ExecutionStatus, after_execution
from ..models import Execution, Workflow
from ..models.execution import ExecutionQuerySet
from .db import atomic, connection, in_transaction
from .release import release_roots
from .rows import ExecutionRow
from .sql import statements
from .versions import prepared
from .wake import wake_on_commit


def promote(*, now: datetime) -> int:
    """Start the executions whose delayed start is due; return how many.

    Locks:
        Those executions; what somebody else is promoting is skipped where the database can.
    """
    with atomic(durable=True):
        due = _unlocked(Execution.objects.due(now).filter(slot=""))
        ids = list(due.order_by("id").values_list("id", flat=True)[: settings.BATCH])
        wake_on_commit(_begin(ids, now=now))
    return len(ids)


def fill(slot: str, *, now: datetime) -> set[str]:
    """Start pending executions of a slot while it has room; return the queues with new work.

    Higher priority goes first, then age.  One whose parent is paused waits with it.

    Locks:
        The workflow of the pending executions, then those executions.
    """
    return in_transaction(lambda: _fill(slot, now=now))


def taken(slot: str) -> int:
    """Return how many executions of a slot have started and not ended."""
    unfinished = Execution.objects.filter(
        slot=slot, status__in=[ExecutionStatus.RUNNING, ExecutionStatus.PAUSED]
    )
    return unfinished.filter(started_at__isnull=False).count()


def slots_with_pending() -> set[str]:
    """Return the slots in which executions wait."""
    pending = Execution.objects.filter(status=ExecutionStatus.PENDING).exclude(slot="")
    return set(pending.order_by("slot").values_list("slot", flat=True).distinct())


def _fill(slot: str, *, now: datetime) -> set[str]:
    first = Execution.objects.filter(slot=slot, status=ExecutionStatus.PENDING).first()
    if first is None:
        return set()
    Workflow.objects.select_for_update(no_key=_has_no_key()).get(pk=first.workflow_id)
    room = min((first.slot_limit or 1) - taken(slot), settings.BATCH)
    if room < 1:
        return set()
    is_due = Q(start_at__isnull=True) | Q(start_at__lte=now)
    # One whose parent is paused, or goes on without it because others have failed.
    waits = Q(follows_parent=True, parent__status=ExecutionStatus.PAUSED)
    waits |= Q(parent_run__available_at__lte=now)
    pending = Execution.objects.filter(is_due, slot=slot, status=ExecutionStatus.PENDING)
    ids = _unlocked(pending.exclude(waits)).order_by("-priority", "id").values_list("id", flat=True)
    return _begin(list(ids[:room]), now=now)


def _begin(ids: Iterable[UUID], *, now: datetime) -> set[str]:
    """Start pending executions that the caller has locked; return the queues with new work."""
    chosen = list(ids)
    if not chosen:
        return set()
    rows = statements().lock(chosen)
    queues = {queue for key in chosen for queue in _started(rows[key], now=now)}
    statements().update_executions(list(rows.values()))
    Execution.objects.filter(id__in=chosen).update(started_at=now)
    return queues


def _started(row: ExecutionRow, *, now: datetime) -> set[str]:
    version = prepared(row.version_id)
    row.status = after_execution(row.status, ExecutionEvent.STARTED)
    row.active_nodes = len(version.graph.roots)
    return release_roots(version, [(row.id, row.priority, row.key)], now=now)


def _unlocked(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    skips = bool(connection().features.has_select_for_update_skip_locked)
    return executions.select_for_update(skip_locked=skips, of=("self",) if skips else ())


def _has_no_key() -> bool:
    return bool(connection().features.has_select_for_no_key_update)
