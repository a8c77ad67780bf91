"""Promoting: executions that were accepted but not started begin when they are due or have a slot.

How many executions of a slot run is counted from their rows.  Who fills a slot holds the lock
of the workflow, so that two cannot fill the same place; it is taken before any execution's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, OuterRef, Q, Subquery

from ..conf import settings
from ..core.statuses import ExecutionEvent, ExecutionStatus, after_execution
from ..models import Execution, NodeRun, Workflow
from ..models.execution import ExecutionQuerySet
from .db import atomic, connection, in_transaction
from .notify import notify_started
from .release import release_roots
from .rows import ExecutionRow
from .sql import statements
from .versions import WORKFLOW_SLOT, prepared
from .wake import wake, wake_on_commit

_MOST_NAMED = 3


def promote(*, now: datetime) -> int:
    """Start the executions whose delayed start is due; return how many were due.

    Those that need a slot get in line for it, and start if there is room.

    Locks:
        Those executions; what somebody else is promoting is skipped where the database can.
        In further transactions, what `fill` locks.
    """
    with atomic(durable=True):
        due = _unlocked(Execution.objects.due(now).filter(slot=""))
        ids = list(due.order_by("id").values_list("id", flat=True)[: settings.BATCH])
        wake_on_commit(_begin(ids, now=now))
    in_slots = Execution.objects.due(now).exclude(slot="").order_by("start_at")
    slots = list(in_slots.values_list("slot", flat=True)[: settings.BATCH])
    for slot in sorted(set(slots)):
        wake(fill(slot, now=now))
    # Who found no room waits for it alone, and is no timer that fires for ever.
    Execution.objects.due(now).filter(slot__in=set(slots)).update(start_at=None)
    return len(ids) + len(slots)


def fill(slot: str, *, now: datetime) -> set[str]:
    """Start pending executions of a slot while it has room; return the queues with new work.

    Higher priority goes first, then age.  One whose parent is paused waits with it.

    Locks:
        The workflow of the pending executions, then those executions.
    """
    return in_transaction(lambda: _fill(slot, now=now))


def taken(slot: str) -> int:
    """Return how many executions of a slot have started and not ended."""
    return holders(slot).count()


def holders(slot: str) -> ExecutionQuerySet:
    """Return the executions that take the places of a slot: also while they are paused."""
    return _holders().filter(slot=slot)


def in_line(slot: str, *, now: datetime) -> ExecutionQuerySet:
    """Return the executions that start as soon as a slot has room, in no order."""
    # Not one whose parent is paused, or goes on without it because others have failed.  These are
    # looked up one by one, by key, and only of children: the first of a long line are found at
    # once.  PostgreSQL would make one hash of all node runs for an EXISTS here.
    parents = Execution.objects.filter(pk=OuterRef("parent_id"))
    runs = NodeRun.objects.filter(pk=OuterRef("parent_run_id"))
    is_held = Q(follows_parent=True, parent_status=ExecutionStatus.PAUSED)
    return (
        _due(now)
        .filter(slot=slot)
        .annotate(parent_status=Subquery(parents.values("status")))
        .annotate(wakes_at=Subquery(runs.values("available_at")))
        .filter(Q(parent_run__isnull=True) | (~is_held & (Q(wakes_at=None) | Q(wakes_at__gt=now))))
    )


def place_in_line(execution: Execution, *, now: datetime) -> int:
    """Return which of those that wait for its slot an execution is, from 1."""
    ahead = Q(priority__gt=execution.priority) | Q(priority=execution.priority, id__lt=execution.pk)
    return in_line(execution.slot, now=now).filter(ahead).count() + 1


def listed(execution_ids: Iterable[UUID]) -> str:
    """Return executions for people: the first few, and how many more there are."""
    found = list(execution_ids)
    more = len(found) - _MOST_NAMED
    named = ", ".join(map(str, found[:_MOST_NAMED]))
    return f"{named} and {more:,} more" if more > 0 else named


def limit_of(slot: str, stored: int | None, workflow: Workflow) -> int | None:
    """Return how many executions a slot takes; None: any number.

    What the current version of the workflow says holds for all that wait, so that publishing
    another limit takes effect at once.

    Args:
        stored: What an execution says that waits for it.
    """
    if not slot.startswith(WORKFLOW_SLOT) or workflow.current_version_id is None:
        return stored
    limit = prepared(workflow.current_version_id).max_executions
    return None if limit is None else limit.most


def locked_workflow(workflow_id: int) -> Workflow:
    """Return a workflow under its lock, which whoever fills its slots holds."""
    return Workflow.objects.select_for_update(no_key=_has_no_key()).get(pk=workflow_id)


def slots_with_room(*, now: datetime) -> set[str]:
    """Return the slots in which executions wait though there is room, by a look without locks."""
    slots = _due(now).exclude(slot="").order_by().values_list("slot", "workflow_id")
    waiting = list(slots.annotate(limit=Max("slot_limit")))
    if not waiting:
        return set()
    started = _holders().exclude(slot="").order_by().values_list("slot")
    held: dict[str, int] = dict(started.annotate(count=Count("pk")))
    workflows = Workflow.objects.in_bulk({workflow_id for _, workflow_id, _ in waiting})
    return {
        slot
        for slot, workflow_id, stored in waiting
        if (limit := limit_of(slot, stored, workflows[workflow_id])) is None
        or held.get(slot, 0) < limit
    }


def _holders() -> ExecutionQuerySet:
    holding = [ExecutionStatus.RUNNING, ExecutionStatus.PAUSED]
    return Execution.objects.filter(status__in=holding, started_at__isnull=False)


def _due(now: datetime) -> ExecutionQuerySet:
    is_due = Q(start_at__isnull=True) | Q(start_at__lte=now)
    return Execution.objects.filter(is_due, status=ExecutionStatus.PENDING)


def _fill(slot: str, *, now: datetime) -> set[str]:
    # Any of them, in no order: a queue may be long, and this is asked whenever a place is free.
    pending = Execution.objects.filter(slot=slot, status=ExecutionStatus.PENDING).order_by()
    first = next(iter(pending[:1]), None)
    if first is None:
        return set()
    limit = limit_of(slot, first.slot_limit, locked_workflow(first.workflow_id))
    room = settings.BATCH if limit is None else min(limit - taken(slot), settings.BATCH)
    chosen: list[UUID] = []
    if room > 0:
        waiting = _unlocked(in_line(slot, now=now)).order_by("-priority", "id")
        chosen = list(waiting.values_list("id", flat=True)[:room])
    return _begin(chosen, now=now)


def _begin(ids: Iterable[UUID], *, now: datetime) -> set[str]:
    """Start pending executions that the caller has locked; return the queues with new work."""
    chosen = list(ids)
    if not chosen:
        return set()
    rows = statements().lock(chosen)
    queues = {queue for key in chosen for queue in _started(rows[key], now=now)}
    statements().update_executions(list(rows.values()))
    Execution.objects.filter(id__in=chosen).update(started_at=now)
    notify_started((row.id, row.version_id) for row in rows.values())
    return queues


def _started(row: ExecutionRow, *, now: datetime) -> set[str]:
    version = prepared(row.version_id)
    row.status = after_execution(row.status, ExecutionEvent.STARTED)
    row.active_nodes = len(version.graph.roots)
    return release_roots(version, [(row.id, row.priority, row.lane_key)], now=now)


def _unlocked(executions: ExecutionQuerySet) -> ExecutionQuerySet:
    skips = bool(connection().features.has_select_for_update_skip_locked)
    return executions.select_for_update(skip_locked=skips, of=("self",) if skips else ())


def _has_no_key() -> bool:
    return bool(connection().features.has_select_for_no_key_update)
