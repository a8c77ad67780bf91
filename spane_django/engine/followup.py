"""Follow-ups: what a commit means for other executions, each in a transaction of its own.

They are done by whoever committed, right afterwards, and again by the sweep, which finds what a
process that died left undone.  Each may be done twice, or by two at once, to no harm.

* A node run goes on when none of its children is unfinished, or too many of them have failed.
* A child whose parent node has ended is cancelled, unless it was to outlive it.
* A child is paused and resumed with its parent, if it follows it.
* An execution that waits for a slot starts when there is room.
* A signal reaches a node that began to wait for it at the very moment when it was sent.
* A question that no node asks any more is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from uuid import UUID

from django.db import DatabaseError
from django.db.models import (
    Count,
    Exists,
    ExpressionWrapper,
    IntegerField,
    OuterRef,
    Q,
    Subquery,
)

from ..conf import settings
from ..core.statuses import ExecutionEvent, ExecutionStatus, NodeStatus
from ..models import Approval, Execution, NodeRun
from ..models.execution import ExecutionQuerySet
from ..models.node_run import NodeRunQuerySet
from .approvals import close_stale
from .db import atomic, in_transaction, on_commit
from .delivery import Awaited, match, unmatched
from .ending import Todo, end_all
from .pausing import go_on_all, hold_all
from .promote import fill, slots_with_room
from .wake import wake

logger = logging.getLogger("spane_django.engine")

PAUSED_WITH_PARENT = "paused with its parent"

_FINAL_RUN = [status.value for status in NodeStatus if status.is_final]


def follow_up(todo: Todo, *, now: datetime) -> set[str]:
    """Do what is to be done; return the queues that have work."""
    queues = set(todo.queues)
    while todo:
        further = Todo()
        if todo.ended or todo.runs:
            further = close(_left_behind(todo), now=now)
            ended = Q(execution_id__in=todo.ended) | Q(node_run_id__in=todo.runs)
            close_stale(Approval.objects.filter(ended), now=now)
        if todo.paused:
            further.paused |= follow_pauses(_children().filter(parent_id__in=todo.paused), now=now)
        queues |= resume_parents(todo.parents, now=now, broken=todo.broken)
        for slot in sorted(todo.slots):
            queues |= fill(slot, now=now)
        for awaited in sorted(todo.signals):
            queues |= match(Awaited(*awaited), now=now)
        todo = further
        queues |= todo.queues
    return queues


def follow_up_or_leave(todo: Todo, *, now: datetime) -> set[str]:
    """Do what is to be done; what the database refuses now is left to the sweep.

    For callers whose own work has been committed and must not be lost with it.
    """
    try:
        return follow_up(todo, now=now) if todo else set(todo.queues)
    except DatabaseError:
        logger.warning("follow-ups are left to the sweep", exc_info=True)
        return set(todo.queues)


def follow_up_on_commit(todo: Todo, *, now: datetime) -> None:
    """Do what is to be done, and wake workers, once the caller's transaction has committed."""
    if todo or todo.queues:
        on_commit(lambda: wake(follow_up(todo, now=now)))


def follow_up_all(*, now: datetime) -> set[str]:
    """Do whatever was left undone anywhere; return the queues that have work."""
    waiting = NodeRun.objects.filter(
        status=NodeStatus.WAITING, failures_tolerated__isnull=False, available_at__isnull=True
    )
    parents = list(waiting.values_list("id", flat=True))
    queues = resume_parents(parents, now=now, broken=parents)
    orphans = _children().filter(parent_run__status__in=_FINAL_RUN)
    todo = close(orphans.values_list("id", flat=True), now=now)
    todo.paused |= follow_pauses(_children(), now=now)
    todo.slots |= slots_with_room(now=now)
    todo.signals |= unmatched(now=now)
    close_stale(Approval.objects.all(), now=now)
    return queues | follow_up(todo, now=now)


def resume_parents(
    run_ids: Iterable[int], *, now: datetime, broken: Iterable[int] = ()
) -> set[str]:
    """Let node runs go on whose children have ended; return their queues.

    Args:
        broken: Those of which a child has failed: they may have had enough.
    """
    ids, suspects = list(run_ids), list(broken)
    if not ids:
        return set()

    def work() -> set[str]:
        done = _waiting(ids).exclude(Exists(_unfinished_children()))
        found = dict(done.values_list("id", "queue"))
        if suspects:
            failed = _waiting(suspects).filter(failures_tolerated__lt=_failed_children())
            found |= dict(failed.values_list("id", "queue"))
        if found:
            _waiting(found).update(available_at=now)
        return set(found.values())

    return in_transaction(work)


def close(execution_ids: Iterable[UUID], *, now: datetime) -> Todo:
    """Cancel children whose parent has ended, some at a time in a transaction of their own."""
    todo = Todo()
    event, reason = ExecutionEvent.CANCELLED, "its parent ended"
    for ids in _batches(execution_ids):
        with atomic():
            todo.add(end_all(ids, event, reason=reason, now=now))
    return todo


def follow_pauses(children: ExecutionQuerySet, *, now: datetime) -> set[UUID]:
    """Pause and resume children as their parents are; return those that have changed."""
    # One that has not started is not paused: who fills its slot looks at its parent.
    to_pause = children.filter(
        status=ExecutionStatus.RUNNING, parent__status=ExecutionStatus.PAUSED
    )
    to_resume = children.filter(
        status=ExecutionStatus.PAUSED,
        reason=PAUSED_WITH_PARENT,
        parent__status=ExecutionStatus.RUNNING,
    )
    changed: set[UUID] = set()
    for ids in _batches(to_pause.values_list("id", flat=True)):
        with atomic():
            changed.update(hold_all(ids, reason=PAUSED_WITH_PARENT))
    for ids in _batches(to_resume.values_list("id", flat=True)):
        with atomic():
            changed.update(go_on_all(ids, now=now))
    return changed


def _batches(execution_ids: Iterable[UUID]) -> Iterator[list[UUID]]:
    ids, size = list(execution_ids), settings.BATCH
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _children() -> ExecutionQuerySet:
    return Execution.objects.unfinished().filter(
        relation=Execution.Relation.CHILD, parent_run__isnull=False, follows_parent=True
    )


def _left_behind(todo: Todo) -> Collection[UUID]:
    """Return unfinished children of what has ended."""
    mine = Q(parent_id__in=todo.ended) | Q(parent_run_id__in=todo.runs)
    orphans = _children().filter(mine, parent_run__status__in=_FINAL_RUN)
    return orphans.order_by("id").values_list("id", flat=True)


def _waiting(ids: Collection[int]) -> NodeRunQuerySet:
    """Return those that wait for their children."""
    waiting = NodeRun.objects.filter(id__in=ids, status=NodeStatus.WAITING)
    return waiting.filter(failures_tolerated__isnull=False)


def _unfinished_children() -> ExecutionQuerySet:
    return Execution.objects.unfinished().filter(parent_run=OuterRef("pk"))


def _failed_children() -> Subquery:
    """Return how many children of a run's round have failed."""
    this_round = ExpressionWrapper(OuterRef("attempt") - OuterRef("losses"), IntegerField())
    failed = Execution.objects.filter(
        parent_run=OuterRef("pk"),
        parent_round=this_round,
        status__in=[ExecutionStatus.FAILED, ExecutionStatus.CANCELLED],
    )
    counted = failed.order_by().values("parent_run").annotate(count=Count("pk"))
    return Subquery(counted.values("count"))
