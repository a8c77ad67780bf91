"""Releasing: nodes that may run become rows that workers claim.

An execution with a `maxConcurrency` lets in only so many of its nodes at once: its rows are born
held, and :func:`let_in` lets them go as others end, under the execution's lock.  A node that
waits takes no place; one that wakes from a wait goes on at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from ..core.lanes import lane
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import NodeRun
from ..models.payloads import MARK
from .notify import notify_started
from .payloads import record
from .rows import NewExecution, RunRow
from .sql import statements
from .versions import PreparedVersion

Started = tuple[UUID, int, str]
"""The id of an execution that has started, its priority and its ``lane_key``."""


def run_row(
    version: PreparedVersion,
    execution_id: UUID,
    node_id: str,
    *,
    priority: int,
    key: str,
    now: datetime,
    status: NodeStatus = NodeStatus.READY,
) -> RunRow:
    """Return a new run of a node, as its definition wants it.

    Args:
        priority: The execution's.
        key: The execution's ``lane_key``.
    """
    node = version.nodes[node_id]
    gate = node.rule.gate(key) if node.rule else ""
    is_limited = version.max_concurrency is not None
    return RunRow(
        execution_id=execution_id,
        node_id=node_id,
        node_type=node.type,
        status=status,
        queue=node.queue,
        priority=node.priority or priority,
        available_at=now,
        lane=lane(gate, key),
        gate=gate,
        is_limited=is_limited,
        is_held=is_limited and status is NodeStatus.READY,
    )


def insert(version: PreparedVersion, rows: Sequence[NewExecution], *, now: datetime) -> set[str]:
    """Insert executions of a version and release the roots of those that run.

    Inside the caller's transaction, or without where :func:`is_one_statement` says so.

    Returns:
        The queues with new work, to be woken after the commit.
    """
    running = [
        (row.id, row.priority, row.lane_key)
        for row in rows
        if row.status is ExecutionStatus.RUNNING
    ]
    roots = _roots(version, running, now=now)
    statements().start(rows, roots, now=now)
    record(((row.id, row.input) for row in rows), now=now)
    if running:
        notify_started((key, version.id) for key, *_ in running)
        _let_in_all(version, running)
    return {row.queue for row in roots}


def is_one_statement(version: PreparedVersion, rows: Iterable[NewExecution]) -> bool:
    """Say whether nothing is written of new executions but them and the runs of their nodes."""
    return version.max_concurrency is None and not any(row.input.startswith(MARK) for row in rows)


def release_roots(
    version: PreparedVersion, executions: Iterable[Started], *, now: datetime
) -> set[str]:
    """Make the root nodes of started executions ready; return their queues."""
    started = list(executions)
    roots = _roots(version, started, now=now)
    statements().put(roots, worker_id=None, token=None, now=now)
    _let_in_all(version, started)
    return {row.queue for row in roots}


def _roots(
    version: PreparedVersion, executions: Iterable[Started], *, now: datetime
) -> list[RunRow]:
    return [
        run_row(version, execution_id, node_id, priority=priority, key=key, now=now)
        for execution_id, priority, key in executions
        for node_id in version.graph.roots
    ]


def _let_in_all(version: PreparedVersion, executions: Iterable[Started]) -> None:
    if version.max_concurrency is not None:
        for execution_id, *_ in executions:
            let_in(execution_id, version.max_concurrency)


def let_in(execution_id: UUID, most: int) -> set[str]:
    """Let go of as many held nodes as the execution has places for; return their queues.

    Args:
        most: How many nodes of it may be ready or running at once.

    Locks:
        None of its own: the caller holds the execution's.
    """
    runs = NodeRun.objects.filter(execution_id=execution_id, is_limited=True)
    active = runs.filter(status__in=(NodeStatus.READY, NodeStatus.RUNNING), is_held=False)
    held = runs.filter(status=NodeStatus.READY, is_held=True).order_by("-priority", "id")
    room = most - active.count()
    chosen = list(held.values_list("id", "queue")[:room]) if room > 0 else []
    if chosen:
        NodeRun.objects.filter(id__in=[key for key, _ in chosen]).update(is_held=False)
    return {queue for _, queue in chosen}
