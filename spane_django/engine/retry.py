"""Running again: a node that ended, with a fresh budget of attempts, or a whole execution anew.

Rerunning a node makes it ready and opens the fate of what hangs on it: its skipped and cancelled
descendants are pending again, and the execution runs.  A dead letter that is retried or
discarded is marked so, never deleted.  A replay is a new execution, linked to the old one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from ..core.errors import SpaneError
from ..core.graph import Graph
from ..core.plan import Ended, rewind
from ..core.statuses import (
    ExecutionEvent,
    ExecutionStatus,
    NodeEvent,
    NodeStatus,
    after_execution,
    after_node,
)
from ..models import DeadLetter, Execution, NodeRun
from .control import UnknownExecution, locked
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
        rerun(letter.execution_id, letter.node_id, now=now)
        _resolve(letter, DeadLetter.Resolution.RETRIED, now=now, by=by)
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
        UnknownDeadLetter: it has no failed node that could be retried.
    """
    with atomic():
        execution = locked(execution_id)
        letters = list(execution.dead_letters.filter(resolved_at=None).order_by("id"))
        if not letters:
            raise UnknownDeadLetter(f"execution {execution_id} has no open dead letter to retry")
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


def rerun(execution_id: UUID, node_id: str, *, now: datetime) -> None:
    """Make a node that has ended ready again, inside the caller's transaction or its own.

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
        _make_ready(run, execution, now=now)
        _open_descendants(run, runs, prepared(execution.version_id).graph)
        _reopen(execution, was_failed=was_failed)
        wake_on_commit([run.queue])


def _make_ready(run: NodeRun, execution: Execution, *, now: datetime) -> None:
    run.status = after_node(NodeStatus(run.status), NodeEvent.RERUN).value
    run.is_held = execution.status == ExecutionStatus.PAUSED
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


def _open_descendants(run: NodeRun, runs: dict[str, NodeRun], graph: Graph) -> None:
    ended = {node_id: _ended(other) for node_id, other in runs.items() if _has_ended(other)}
    for node_id, arrivals in rewind(graph, ended, run.node_id).items():
        other = runs[node_id]
        other.status = after_node(NodeStatus(other.status), NodeEvent.RESET).value
        other.reason, other.finished_at = "", None
        other.open_edges, other.live_edges = arrivals.open, arrivals.live
        other.broken_edges = arrivals.broken
        other.save(
            update_fields=[
                "status", "reason", "finished_at", "open_edges", "live_edges", "broken_edges",
            ]
        )  # fmt: skip


def _reopen(execution: Execution, *, was_failed: bool) -> None:
    status = ExecutionStatus(execution.status)
    if status.is_final:
        execution.status = after_execution(status, ExecutionEvent.REOPENED).value
        execution.finished_at, execution.reason, execution.deadline_at = None, "", None
    execution.active_nodes += 1
    execution.failed_nodes -= was_failed
    execution.save(
        update_fields=[
            "status", "finished_at", "reason", "deadline_at", "active_nodes", "failed_nodes",
        ]
    )  # fmt: skip


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
