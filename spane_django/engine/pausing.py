"""Holding and going on: what pausing and resuming do to the rows of a locked execution."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from ..core.statuses import ExecutionEvent, ExecutionStatus, NodeStatus, after_execution
from ..models import Execution, NodeRun
from ..models.node_run import NodeRunQuerySet
from .release import let_in, release_roots
from .sql import statements
from .versions import prepared
from .wake import wake_on_commit


def hold(execution: Execution, *, reason: str) -> None:
    """Let nothing new of a locked execution start."""
    _move(execution, ExecutionEvent.PAUSED, reason=reason)
    _claimable_of([execution.pk]).update(is_held=True)


def go_on(execution: Execution, *, now: datetime, reason: str) -> None:
    """Let a locked execution go on; one that never started waits for its time or its slot."""
    if _must_wait(execution, now=now):
        _move(execution, ExecutionEvent.POSTPONED, reason=reason)
        return
    _move(execution, ExecutionEvent.RESUMED, reason=reason)
    if execution.started_at is None:
        _start_late(execution, now=now)
    runs = _claimable_of([execution.pk])
    wake_on_commit(runs.filter(available_at__lte=now).values_list("queue", flat=True))
    runs.exclude(is_limited=True, status=NodeStatus.READY).update(is_held=False)
    let_in_again(execution)


def hold_all(execution_ids: Collection[UUID], *, reason: str) -> list[UUID]:
    """Let nothing new of executions start, those of them that run; return which.

    Locks:
        The executions by id, then their node runs.
    """
    rows = statements().lock(execution_ids).values()
    ids = [row.id for row in rows if row.status is ExecutionStatus.RUNNING]
    held = after_execution(ExecutionStatus.RUNNING, ExecutionEvent.PAUSED)
    Execution.objects.filter(id__in=ids).update(status=held, reason=reason)
    _claimable_of(ids).update(is_held=True)
    return ids


def go_on_all(execution_ids: Collection[UUID], *, now: datetime) -> list[UUID]:
    """Let executions that have started go on, those of them that are paused; return which.

    Locks:
        The executions by id, then their node runs.
    """
    rows = statements().lock(execution_ids).values()
    ids = [row.id for row in rows if row.status is ExecutionStatus.PAUSED]
    running = after_execution(ExecutionStatus.PAUSED, ExecutionEvent.RESUMED)
    Execution.objects.filter(id__in=ids).update(status=running, reason="")
    runs = _claimable_of(ids)
    wake_on_commit(runs.filter(available_at__lte=now).values_list("queue", flat=True))
    runs.exclude(is_limited=True, status=NodeStatus.READY).update(is_held=False)
    for row in rows:
        most = prepared(row.version_id).max_concurrency
        if most is not None and row.id in ids:
            let_in(row.id, most)
    return ids


def let_in_again(execution: Execution) -> None:
    """Fill the places of a locked execution that limits its nodes and has been changed."""
    most = prepared(execution.version_id).max_concurrency
    if most is not None and execution.status == ExecutionStatus.RUNNING:
        let_in(execution.pk, most)


def _must_wait(execution: Execution, *, now: datetime) -> bool:
    is_early = execution.start_at is not None and execution.start_at > now
    return execution.started_at is None and (is_early or bool(execution.slot))


def _start_late(execution: Execution, *, now: datetime) -> None:
    version = prepared(execution.version_id)
    execution.active_nodes = len(version.graph.roots)
    execution.started_at = now
    execution.save(update_fields=["active_nodes", "started_at"])
    started = [(execution.pk, execution.priority, execution.lane_key)]
    wake_on_commit(release_roots(version, started, now=now))


def _move(execution: Execution, event: ExecutionEvent, *, reason: str) -> None:
    execution.status = after_execution(ExecutionStatus(execution.status), event).value
    execution.reason = reason
    execution.save(update_fields=["status", "reason"])


def _claimable_of(execution_ids: Collection[UUID]) -> NodeRunQuerySet:
    waiting = [NodeStatus.READY, NodeStatus.WAITING]
    return NodeRun.objects.filter(execution_id__in=execution_ids, status__in=waiting)
