"""Admission: which of the executions that are to start do so at once.

A workflow with ``maxExecutions`` starts what it has places for; one too many waits as
``pending``, is refused, or takes the place of the oldest.  Before that, each is compared with
its duplicates.  The rules:

* Places are counted from rows: what has started and not ended takes one, also while it is
  paused.  What waits in line takes part in the count, so that nobody overtakes it by starting.
* A delayed start takes no place until it is due; then it waits in line, whatever the overflow.
* An operator's retry of an execution that has ended goes on at once, even without a free place:
  nothing else starts until there are fewer again.  A replay is a start, and never a duplicate.
* Inputs that are started together are admitted one after another, as if started so.

Places that become free are filled in `promote`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Q

from ..core.errors import SpaneError
from ..core.starting import OnDuplicate, Overflow
from ..core.statuses import ExecutionEvent, ExecutionStatus
from ..models import Execution, Workflow
from .audit import record
from .db import connection
from .duplicates import Twins, pending_of, take_over
from .ending import Todo, end
from .followup import follow_up_on_commit
from .promote import holders, in_line, limit_of, listed, locked_workflow, taken
from .release import insert
from .rows import NewExecution
from .versions import PreparedVersion
from .wake import wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class NoRoom(SpaneError):
    """All places of the workflow are taken."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is to happen to executions that cannot all start as they are.

    Attributes:
        by: Who starts them, and so cancels others.
    """

    on_duplicate: OnDuplicate
    overflow: Overflow
    by: AbstractBaseUser | None


def admit(
    version: PreparedVersion, rows: Sequence[NewExecution], terms: Terms, *, now: datetime
) -> list[UUID]:
    """Insert executions, inside the caller's transaction; return the id that each input got.

    Locks:
        The workflow, then executions that are to make room or to be changed.

    Raises:
        NoRoom, DuplicateExecution: none has been started.
    """
    return _Admission(version, rows, terms, now).admit()


class _Admission:
    def __init__(
        self,
        version: PreparedVersion,
        rows: Sequence[NewExecution],
        terms: Terms,
        now: datetime,
    ) -> None:
        self._version = version
        self._rows = rows
        self._terms = terms
        self._now = now
        self._workflow: Workflow = locked_workflow(version.workflow_id)
        self._room: dict[str, int] = {}
        self._unwritten: list[NewExecution] = []
        self._todo = Todo()

    def admit(self) -> list[UUID]:
        self._lock_ahead()
        looks = self._terms.on_duplicate is not OnDuplicate.ALLOW
        self._twins = Twins(self._workflow.pk, self._rows if looks else ())
        ids = [self._admit(row) for row in self._rows]
        self._write()
        wake_on_commit(self._todo.queues)
        # What ended before this commit saw nobody in line, and so let nobody in.
        follow_up_on_commit(self._todo, now=self._now)
        return ids

    def _lock_ahead(self) -> None:
        """Lock all that may be cancelled or changed in the order of ids, as everybody does."""
        wanted = Q()
        if self._terms.overflow is Overflow.CANCEL_OLDEST:
            wanted |= Q(slot__in={row.slot for row in self._rows if row.slot})
        if self._terms.on_duplicate in (OnDuplicate.REPLACE, OnDuplicate.DEBOUNCE):
            keys = {row.duplicate_key for row in self._rows}
            wanted |= Q(
                duplicate_key__in=keys - {None},
                tenant__in={row.tenant for row in self._rows},
                status=ExecutionStatus.PENDING,
            )
        if wanted and connection().features.has_select_for_update:
            found = Execution.objects.unfinished().filter(wanted, workflow=self._workflow)
            list(found.order_by("id").select_for_update(of=("self",)).values_list("id"))

    def _admit(self, row: NewExecution) -> UUID:
        instead = self._instead_of(row)
        if instead is not None:
            return instead
        if row.slot and row.status is ExecutionStatus.RUNNING:
            self._find_place(row)
        self._unwritten.append(row)
        self._twins.add(row)
        return row.id

    def _instead_of(self, row: NewExecution) -> UUID | None:
        """Return the execution that the caller gets instead of a new one, if any."""
        alike = self._twins.of(row)
        if not alike:
            return None
        match self._terms.on_duplicate:
            case OnDuplicate.REJECT:
                raise self._twins.refusal(row)
            case OnDuplicate.RETURN:
                return alike[0]
            case OnDuplicate.REPLACE:
                self._write()
                for execution in pending_of(alike):
                    self._cancel(execution, "replaced by a newer one")
            case OnDuplicate.DEBOUNCE:
                self._write()
                for execution in pending_of(alike)[:1]:
                    take_over(execution, row, now=self._now)
                    return execution.pk
        return None

    def _find_place(self, row: NewExecution) -> None:
        limit = limit_of(row.slot, row.slot_limit, self._workflow)
        if limit is None:
            return
        if row.slot not in self._room:
            self._room[row.slot] = self._room_in(row.slot, limit)
        if self._room[row.slot] < 1:
            self._overflow(row, limit)
        else:
            self._room[row.slot] -= 1

    def _room_in(self, slot: str, limit: int) -> int:
        """Return how many more may start; less than none: so many are to make room."""
        free = limit - taken(slot)
        waiting = in_line(slot, now=self._now)
        if self._terms.overflow is not Overflow.CANCEL_OLDEST:
            # Who waits matters only where there is room: the line may be long.
            waiting = waiting[: max(free, 0)]
        return free - waiting.count()

    def _overflow(self, row: NewExecution, limit: int) -> None:
        match self._terms.overflow:
            case Overflow.QUEUE:
                row.status, row.active_nodes = ExecutionStatus.PENDING, 0
                self._todo.slots.add(row.slot)
            case Overflow.REJECT:
                raise self._refusal(row, limit)
            case Overflow.CANCEL_OLDEST:
                self._write()
                self._make_room(row.slot)

    def _make_room(self, slot: str) -> None:
        """Cancel the oldest of those that run or wait in line, so that one more has a place."""
        many = 1 - self._room[slot]
        there = [*holders(slot).values_list("id", flat=True)]
        there += in_line(slot, now=self._now).values_list("id", flat=True)
        oldest = Execution.objects.filter(id__in=sorted(there)[:many]).order_by("id")
        for execution in oldest.select_for_update(of=("self",)):
            self._cancel(execution, "made room for a newer one")
        self._room[slot] = 0

    def _cancel(self, execution: Execution, reason: str) -> None:
        was = execution.status
        self._todo.add(end(execution, ExecutionEvent.CANCELLED, reason=reason, now=self._now))
        self._twins.drop(execution)
        record(
            "cancel", now=self._now, by=self._terms.by, execution_id=execution.pk,
            before={"status": was}, after={"status": execution.status}, reason=reason,
        )  # fmt: skip

    def _write(self) -> None:
        if self._unwritten:
            self._todo.queues |= insert(self._version, self._unwritten, now=self._now)
            self._unwritten = []

    def _refusal(self, row: NewExecution, limit: int) -> NoRoom:
        started = holders(row.slot).order_by("id").values_list("id", flat=True)
        held = listed(started) or "those that start with it"
        whose = f" of key '{row.key}'" if row.slot.endswith(f":{row.key}") and row.key else ""
        return NoRoom(
            f"workflow '{self._version.workflow_key}' runs {limit} executions{whose} at once, and "
            f"no place is free: held by {held}; start it again when one has ended"
        )
