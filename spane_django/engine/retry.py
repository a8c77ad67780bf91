"""Running again: a node that ended, with a fresh budget of attempts, or a whole execution anew.

Rerunning a node makes it ready and opens the fate of what hangs on it and of all that was
cancelled: `plan.reopen` says what each is now, and the execution runs.  A dead letter that is
retried or discarded is marked so, never deleted.  A replay is a new execution, linked to the
old one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from ..core.errors import SpaneError
from ..core.plan import Ended, Progress, reopen
from ..core.statuses import (
    ExecutionEvent,
    ExecutionStatus,
    NodeEvent,
    NodeStatus,
    after_execution,
    after_node,
)
from ..models import DeadLetter, Execution, NodeRun
from .control import UnknownExecution, let_in_again, locked
from .db import atomic
from .start import StartOptions, start_version
from .versions import prepared
from .wake import wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class UnknownDeadLetter(SpaneError):
    """There is no such dead letter."""


class ResolvedDeadLetter(SpaneError):
    """The dead letter has been retried or discarded already."""


class NothingToRetry(UnknownDeadLetter):
    """The execution has no open dead letter, so there is nothing to retry."""


class UnknownNodeRun(SpaneError):
    """The execution has no run of this node."""


def retry_dead_letter(
    dead_letter_id: int, *, now: datetime, by: AbstractBaseUser | None = None
) -> DeadLetter:
    """Run the node of a dead letter again, with a fresh budget of attempts.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownDeadLetter, ResolvedDeadLetter: nothing has changed.
    """
    with atomic():
        letter = _open_letter(dead_letter_id)
        rerun(letter.execution_id, letter.node_id, now=now, by=by)
        letter.refresh_from_db()
    return letter


def discard_dead_letter(
    dead_letter_id: int, *, now: datetime, by: AbstractBaseUser | None = None
) -> DeadLetter:
    """Mark a dead letter as dealt with; its execution stays failed.

    Raises:
        UnknownDeadLetter, ResolvedDeadLetter: nothing has changed.
    """
    with atomic():
        letter = _open_letter(dead_letter_id)
        _resolve(letter, DeadLetter.Resolution.DISCARDED, now=now, by=by)
    return letter


def retry_failed(
    execution_id: UUID, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Run every node of an execution again that failed for good.

    Raises:
        UnknownExecution: there is none.
        NothingToRetry: it has no failed node that could be retried.
    """
    with atomic():
        execution = locked(execution_id)
        letters = list(execution.dead_letters.filter(resolved_at=None).order_by("id"))
        if not letters:
            raise NothingToRetry(f"execution {execution_id} has no open dead letter to retry")
        for letter in letters:
            retry_dead_letter(letter.pk, now=now, by=by)
        execution.refresh_from_db()
    return execution


def replay(
    execution_id: UUID, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Start a new execution of the same version with the same input, linked to the original.

    Raises:
        UnknownExecution: there is none.
    """
    original = Execution.objects.filter(pk=execution_id).first()
    if original is None:
        raise UnknownExecution(f"Execution {execution_id} not found")
    options = StartOptions(priority=original.priority, by=by, replay_of=original.pk)
    replayed = start_version(original.version_id, original.input, now=now, options=options)
    return Execution.objects.select_related("workflow").get(pk=replayed)


def rerun(
    execution_id: UUID, node_id: str, *, now: datetime, by: AbstractBaseUser | None = None
) -> None:
    """Make a node that has ended ready again, inside the caller's transaction or its own.

    If it had failed for good, that is dealt with: its dead letter is marked as retried.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, UnknownNodeRun, IllegalTransition: nothing has changed.
    """
    with atomic():
        execution = locked(execution_id)
        runs = {run.node_id: run for run in execution.node_runs.defer("output", "checkpoint")}
        run = runs.get(node_id)
        if run is None:
            raise UnknownNodeRun(f"execution {execution_id} has no run of node '{node_id}'")
        was_failed = run.status == NodeStatus.FAILED
        ended = {key: _ended(other) for key, other in runs.items() if _has_ended(other)}
        active = [key for key, other in runs.items() if other.status in _ACTIVE]
        version = prepared(execution.version_id)
        progress = reopen(version.graph, ended, active, version.joins, node_id)
        ready = [run, *(runs[key] for key in progress.released)]
        for released in ready:
            _make_ready(released, execution, now=now)
        _reset(runs, progress)
        _reopen(execution, released=len(ready), was_failed=was_failed)
        for letter in execution.dead_letters.filter(node_id=node_id, resolved_at=None):
            _resolve(letter, DeadLetter.Resolution.RETRIED, now=now, by=by)
        let_in_again(execution)
        wake_on_commit(released.queue for released in ready)


def _make_ready(run: NodeRun, execution: Execution, *, now: datetime) -> None:
    status = NodeStatus(run.status)
    event = NodeEvent.RELEASED if status is NodeStatus.PENDING else NodeEvent.RERUN
    run.status = after_node(status, event).value
    run.is_held = run.is_limited or execution.status == ExecutionStatus.PAUSED
    run.attempt += run.started_at is not None
    run.failures = run.losses = 0
    run.available_at, run.finished_at, run.checkpoint = now, None, None
    run.reason = run.error_type = run.error_message = ""
    run.save(
        update_fields=[
            "status", "is_held", "attempt", "failures", "losses", "available_at", "finished_at",
            "checkpoint", "reason", "error_type", "error_message",
        ]
    )  # fmt: skip


def _reset(runs: dict[str, NodeRun], progress: Progress) -> None:
    """Store what nodes that are not decided any more have seen, and new skips."""
    for key in progress.skipped:
        _undecide(runs[key])
        runs[key].status = after_node(NodeStatus.PENDING, NodeEvent.PRUNED).value
        runs[key].reason = "no branch that was taken leads here"
    # Of what waits, only what has been arrived at before has a row.
    waiting = {key: counts for key, counts in progress.waiting.items() if key in runs}
    for key, arrivals in waiting.items():
        run = runs[key]
        _undecide(run)
        run.open_edges, run.live_edges = arrivals.open, arrivals.live
        run.broken_edges, run.finished_at, run.reason = arrivals.broken, None, ""
    for key in (*progress.skipped, *waiting):
        runs[key].save(
            update_fields=[
                "status", "reason", "finished_at", "open_edges", "live_edges", "broken_edges",
            ]
        )  # fmt: skip


def _undecide(run: NodeRun) -> None:
    if run.status != NodeStatus.PENDING:
        run.status = after_node(NodeStatus(run.status), NodeEvent.RESET).value


def _reopen(execution: Execution, *, released: int, was_failed: bool) -> None:
    status = ExecutionStatus(execution.status)
    if status.is_final:
        execution.status = after_execution(status, ExecutionEvent.REOPENED).value
        execution.finished_at, execution.reason, execution.deadline_at = None, "", None
    execution.active_nodes += released
    execution.failed_nodes -= was_failed
    execution.save(
        update_fields=[
            "status", "finished_at", "reason", "deadline_at", "active_nodes", "failed_nodes",
        ]
    )  # fmt: skip


_ACTIVE = frozenset({NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.WAITING})


def _has_ended(run: NodeRun) -> bool:
    return NodeStatus(run.status).is_final


def _ended(run: NodeRun) -> Ended:
    chosen = None if run.next_nodes is None else frozenset(run.next_nodes)
    return Ended(run.node_id, NodeStatus(run.status), chosen)


def _open_letter(dead_letter_id: int) -> DeadLetter:
    found = DeadLetter.objects.filter(pk=dead_letter_id).first()
    if found is None:
        raise UnknownDeadLetter(f"there is no dead letter {dead_letter_id}")
    locked(found.execution_id)
    letter = DeadLetter.objects.get(pk=dead_letter_id)
    if letter.resolved_at is not None:
        raise ResolvedDeadLetter(f"dead letter {dead_letter_id} was {letter.resolution} already")
    return letter


def _resolve(
    letter: DeadLetter,
    resolution: DeadLetter.Resolution,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
) -> None:
    letter.resolved_at = now
    letter.resolution = resolution
    letter.resolved_by_id = by.pk if by else None
    letter.save(update_fields=["resolved_at", "resolution", "resolved_by"])
