"""Duplicates: what has not ended and is like what is to start, and what becomes of the two.

Who looks for duplicates holds the lock of the workflow, so that two starts at once see each
other.  What makes executions alike, their *duplicate key*, is decided in `intake`.

* ``reject``: the start is refused.
* ``return``: the oldest one that has not ended is given back.
* ``replace``: those that are pending are cancelled; one that runs is left, and both run.
* ``debounce``: a pending one takes over the input, and starts so much later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from ..core.errors import SpaneError
from ..core.json import decode
from ..core.statuses import ExecutionStatus
from ..models import Execution
from .payloads import forget, record
from .rows import NewExecution

# SQLite takes only so many parameters at once.
_KEYS = 1_000


class DuplicateExecution(SpaneError):
    """One like it has not ended yet."""


class Twins:
    """The executions of a workflow that have not ended, by duplicate key, the oldest first."""

    def __init__(self, workflow_id: int, rows: Sequence[NewExecution]) -> None:
        self._ids: dict[str, list[UUID]] = defaultdict(list)
        self._new: set[UUID] = set()
        keys = sorted({row.duplicate_key for row in rows if row.duplicate_key is not None})
        # The rows of one start are all one tenant's.
        unfinished = Execution.objects.unfinished().filter(
            workflow_id=workflow_id, tenant=rows[0].tenant if rows else ""
        )
        for begin in range(0, len(keys), _KEYS):
            alike = unfinished.filter(duplicate_key__in=keys[begin : begin + _KEYS])
            for key, execution_id in alike.order_by("id").values_list("duplicate_key", "id"):
                self._ids[str(key)].append(execution_id)

    def of(self, row: NewExecution) -> list[UUID]:
        """Return what is like a row; its own list, not a copy."""
        return [] if row.duplicate_key is None else self._ids[row.duplicate_key]

    def add(self, row: NewExecution) -> None:
        """Take note of one that is about to start."""
        if row.duplicate_key is not None:
            self._ids[row.duplicate_key].append(row.id)
            self._new.add(row.id)

    def drop(self, execution: Execution) -> None:
        """Forget one that has been cancelled."""
        alike = self._ids.get(execution.duplicate_key or "", [])
        if execution.pk in alike:
            alike.remove(execution.pk)

    def refusal(self, row: NewExecution) -> DuplicateExecution:
        """Return the error that refuses a row."""
        first = self.of(row)[0]
        if first in self._new:
            return DuplicateExecution("two of the executions that are to start are alike")
        return DuplicateExecution(
            f"execution {first} is like it and has not ended: use that one, or wait for its end"
        )


def pending_of(execution_ids: Sequence[UUID]) -> list[Execution]:
    """Return those that have not started, under their locks, the oldest first."""
    # Asked for by status, so that one that starts meanwhile is left out once its lock is free.
    pending = Execution.objects.filter(id__in=execution_ids, status=ExecutionStatus.PENDING)
    return list(pending.order_by("id").select_for_update(of=("self",)))


def take_over(execution: Execution, row: NewExecution, *, now: datetime) -> None:
    """Let a locked pending execution be what a later start wants, in its own time."""
    forget([execution.pk])
    record([(execution.pk, row.input)], now=now)
    Execution.objects.filter(pk=execution.pk).update(
        version_id=row.version_id,
        input=decode(row.input),
        priority=row.priority,
        start_at=row.start_at,
        deadline_at=row.deadline_at,
        key=row.key,
        slot=row.slot,
        slot_limit=row.slot_limit,
        started_by_id=row.started_by_id,
    )
