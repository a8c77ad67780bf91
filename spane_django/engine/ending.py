"""Ending: what the end of an execution brings about.

In the transaction that ends it, further executions may be inserted: the error handler, what
undoes and what runs finally.  What it means for executions that exist, its parent and its
children, is noted as a `Todo` and done by `followup` after the commit: one transaction never
holds the locks of a parent and a child.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from uuid import UUID

from ..core.statuses import ExecutionEvent, ExecutionStatus, after_execution
from ..models import Execution
from .cancelling import cancel_unstarted
from .clear import mark_ended
from .notify import notify_ended
from .rows import ExecutionRow
from .sequels import start_sequels
from .sql import statements


@dataclass(slots=True)
class Todo:
    """What a commit means for other executions.

    Attributes:
        parents: Node runs of which a child has ended.
        broken: Those of them of which a child has not completed.
        slots: Slots that may have room.
        ended: Executions whose children must not outlive them.
        paused: Executions that were paused or resumed, and whose children follow.
        runs: Node runs that have ended, though children of theirs may not have.
        signals: Names, keys and tenants (`delivery.Awaited`) of signals just waited for.
        queues: Queues that have work.
    """

    parents: set[int] = field(default_factory=set)
    broken: set[int] = field(default_factory=set)
    slots: set[str] = field(default_factory=set)
    ended: set[UUID] = field(default_factory=set)
    paused: set[UUID] = field(default_factory=set)
    runs: set[int] = field(default_factory=set)
    signals: set[tuple[str, str, str]] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)

    def add(self, other: Todo) -> None:
        """Take over what another one holds."""
        for mine in fields(self):
            getattr(self, mine.name).update(getattr(other, mine.name))

    def __bool__(self) -> bool:
        """Say whether anything but waking queues is to be done."""
        return any(getattr(self, mine.name) for mine in fields(self) if mine.name != "queues")


def conclude(rows: Sequence[ExecutionRow], *, now: datetime) -> Todo:
    """Insert what follows executions that end in this transaction; note what else is to do."""
    todo = Todo()
    for row in rows:
        if row.parent_run_id is not None:
            todo.parents.add(row.parent_run_id)
        if row.slot:
            todo.slots.add(row.slot)
        if row.status is not ExecutionStatus.COMPLETED:
            todo.ended.add(row.id)
            if row.parent_run_id is not None:
                todo.broken.add(row.parent_run_id)
    queues, slots = start_sequels(rows, now=now)
    todo.queues |= queues
    todo.slots |= slots
    mark_ended(rows, now=now)
    notify_ended(rows)
    return todo


def end(execution: Execution, event: ExecutionEvent, *, reason: str, now: datetime) -> Todo:
    """End a locked execution from outside: everything of it that has not ended is cancelled.

    Raises:
        IllegalTransition: it has ended already.
    """
    after_execution(ExecutionStatus(execution.status), event)
    todo = end_all([execution.pk], event, reason=reason, now=now)
    execution.refresh_from_db()
    return todo


def end_all(
    execution_ids: Collection[UUID], event: ExecutionEvent, *, reason: str, now: datetime
) -> Todo:
    """End executions from outside, those of them that have not ended yet.

    Locks:
        The executions by id, then their node runs.
    """
    locked = statements().lock(execution_ids).values()
    rows = [row for row in locked if not row.status.is_final]
    ids = [row.id for row in rows]
    if not ids:
        return Todo()
    cancel_unstarted(ids, reason=reason, now=now, also_running=True)
    for row in rows:
        row.status = after_execution(row.status, event)
        row.active_nodes, row.finished_at = 0, now
    statements().update_executions(rows)
    Execution.objects.filter(id__in=ids).update(reason=reason)
    return conclude(rows, now=now)
