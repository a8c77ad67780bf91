"""Pause, resume, cancel: what an operator may say to an execution at any moment.

Each is a pure change of rows that needs no worker: it takes effect the moment it commits.
What cannot happen to an execution (pausing one that has ended) raises `IllegalTransition` and
changes nothing.  What has happened is audited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from ..core.errors import SpaneError
from ..core.statuses import (
    ExecutionEvent,
    ExecutionStatus,
    after_execution,
)
from ..models import Execution
from .audit import record
from .db import atomic
from .ending import Todo, end
from .followup import follow_up_on_commit
from .pausing import go_on, hold

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class UnknownExecution(SpaneError):
    """There is no such execution."""


def pause(
    execution_id: UUID, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Let nothing new start.  Nodes in flight finish and are recorded; timers keep running.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, IllegalTransition: nothing has changed.
    """
    with atomic():
        execution = locked(execution_id)
        was = execution.status
        hold(execution, reason=reason)
        follow_up_on_commit(Todo(paused={execution_id}), now=now)
        _audit("pause", execution, was, now=now, by=by, reason=reason)
    return execution


def resume(
    execution_id: UUID, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Let a paused execution go on; timers that came due meanwhile fire now.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, IllegalTransition: nothing has changed.
    """
    with atomic():
        execution = locked(execution_id)
        was = execution.status
        go_on(execution, now=now, reason=reason)
        todo = Todo(paused={execution_id}, slots={execution.slot} - {""})
        follow_up_on_commit(todo, now=now)
        _audit("resume", execution, was, now=now, by=by, reason=reason)
    return execution


def cancel(
    execution_id: UUID, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """End an execution at once, worker or not.

    What has not started never will; results of nodes in flight are refused when they arrive,
    and those nodes see ``ctx.cancelled``.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, IllegalTransition: nothing has changed.
    """
    with atomic():
        execution = locked(execution_id)
        was = execution.status
        after_execution(ExecutionStatus(was), ExecutionEvent.CANCELLED)
        todo = end(execution, ExecutionEvent.CANCELLED, reason=reason or "cancelled", now=now)
        follow_up_on_commit(todo, now=now)
        _audit("cancel", execution, was, now=now, by=by, reason=reason)
    return execution


Verb = Callable[..., object]
Key = TypeVar("Key")


def each(
    verb: Verb,
    keys: Iterable[Key],
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> dict[Key, str]:
    """Apply a verb to rows one by one; return why it did not change those it did not.

    Each is its own transaction, so that one refusal holds up nobody.

    Args:
        keys: Of executions, or of whatever else the verb changes.
    """
    refused: dict[Key, str] = {}
    for key in keys:
        try:
            verb(key, now=now, by=by, reason=reason)
        except SpaneError as error:
            refused[key] = str(error)
    return refused


def locked(execution_id: UUID) -> Execution:
    """Return an execution under its lock, inside the caller's transaction.

    Raises:
        UnknownExecution: there is none.
    """
    try:
        return Execution.objects.select_for_update(of=("self",)).get(pk=execution_id)
    except Execution.DoesNotExist:
        raise UnknownExecution(f"there is no execution {execution_id}") from None


def _audit(
    verb: str,
    execution: Execution,
    was: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
    reason: str,
) -> None:
    record(
        verb,
        now=now,
        by=by,
        execution_id=execution.pk,
        before={"status": was},
        after={"status": execution.status},
        reason=reason,
    )
