"""Holding and going on: what pausing and resuming do to the rows of a locked execution."""

from __future__ import annotations

from datetime import datetime

from ..core.statuses import ExecutionEvent, ExecutionStatus, NodeStatus, after_execution
from ..models import Execution, NodeRun
from ..models.node_run import NodeRunQuerySet
from .release import let_in, release_roots
from .versions import prepared
from .wake import wake_on_commit


def hold(execution: Execution, *, reason: str) -> None:
    """Let nothing new of a locked execution start."""
    _move(execution, ExecutionEvent.PAUSED, reason=reason)
    _claimable(execution).update(is_held=True)


def go_on(execution: Execution, *, now: datetime, reason: str) -> None:
    """Let a locked execution go on; one that never started waits for its time or its slot."""
    if _must_wait(execution, now=now):
        _move(execution, ExecutionEvent.POSTPONED, reason=reason)
        return
    _move(execution, ExecutionEvent.RESUMED, reason=reason)
    if execution.started_at is None:
        _start_late(execution, now=now)
    runs = _claimable(execution)
    wake_on_commit(runs.filter(available_at__lte=now).values_list("queue", flat=True))
    runs.exclude(is_limited=True, status=NodeStatus.READY).update(is_held=False)
    let_in_again(execution)


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
    started = [(execution.pk, execution.priority, execution.key)]
    wake_on_commit(release_roots(version, started, now=now))


def _move(execution: Execution, event: ExecutionEvent, *, reason: str) -> None:
    execution.status = after_execution(ExecutionStatus(execution.status), event).value
    execution.reason = reason
    execution.save(update_fields=["status", "reason"])


def _claimable(execution: Execution) -> NodeRunQuerySet:
    waiting = [NodeStatus.READY, NodeStatus.WAITING]
    return NodeRun.objects.filter(execution=execution, status__in=waiting)
