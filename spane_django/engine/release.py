"""Releasing: nodes that may run become rows that workers claim.

An execution with a `maxConcurrency` lets in only so many of its nodes at once: its rows are born
held, and :func:`let_in` lets them go as others end, under the execution's lock.  A node that
waits takes no place; one that wakes from a wait goes on at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

from ..core.lanes import lane
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import NodeRun
from .notify import notify_started
from .payloads import record
from .rows import NewExecution, RunRow
from .sql import statements
from .versions import PreparedVersion


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

    Returns:
        The queues with new work, to be woken after the commit.
    """
    statements().insert_executions(rows)
    record(((row.id, row.input) for row in rows), now=now)
    running = [
        (row.id, row.priority, row.lane_key)
        for row in rows
        if row.status is ExecutionStatus.RUNNING
    ]
    if not running:
        return set()
    notify_started((key, version.id) for key, *_ in running)
    return release_roots(version, running, now=now)


def release_roots(
    version: PreparedVersion, executions: Iterable[tuple[UUID, int, str]], *, now: datetime
) -> set[str]:
    """Make the root nodes of started executions ready; return their queues.

    Args:
        executions: Ids with their priorities and ``lane_key``.
    """
    started = list(executions)
    rows = [
        run_row(version, execution_id, node_id, priority=priority, key=key, now=now)
        for execution_id, priority, key in started
        for node_id in version.graph.roots
    ]
    statements().put(rows, worker_id=None, token=uuid4(), now=now)
    if version.max_concurrency is not None:
        for execution_id, *_ in started:
            let_in(execution_id, version.max_concurrency)
    return {row.queue for row in rows}


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
