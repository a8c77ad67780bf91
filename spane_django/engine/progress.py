"""What follows from nodes that have ended: applied to executions under their lock.

`plan.advance` decides; this module fetches what it needs to know of the joins, turns its
decisions into rows, keeps the executions' counts and ends those that have nothing left.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from ..core.plan import Arrivals, Ended, Progress, advance, touched
from ..core.statuses import (
    ExecutionEvent,
    ExecutionStatus,
    NodeStatus,
    after_execution,
)
from .cancelling import UPSTREAM_FAILED, cancel_losers, cancel_unstarted
from .claim import Claim, Want
from .passing import let_through
from .release import let_in, run_row
from .rows import ExecutionRow, Key, RunRow
from .sql import statements
from .versions import PreparedVersion, prepared

EndedNodes = Mapping[UUID, Sequence[Ended]]


@dataclass(slots=True)
class Steps:
    """What followed.

    Attributes:
        claims: Released node runs that were put as running for the worker that asked.
        left: Queues in which others became ready.
        ended: Executions that have ended.
        handed_over: By gate, how many of the claims have passed it.
    """

    claims: list[Claim] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    ended: list[ExecutionRow] = field(default_factory=list)
    handed_over: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Ends:
    """What has ended of one execution, and whether a failure has halted it."""

    row: ExecutionRow
    nodes: Sequence[Ended]
    is_halted: bool = False


def follow(
    executions: Mapping[UUID, ExecutionRow],
    ended: EndedNodes,
    *,
    now: datetime,
    want: Want | None = None,
    places: Counter[str] | None = None,
) -> Steps:
    """Write everything that follows from ``ended``, inside the caller's transaction.

    Args:
        executions: The executions as they stand under the caller's lock.
        ended: What has ended of each; nothing for one of which some node is only to run again.
        want: Whose worker goes on with the successors, as far as it has room.
        places: By gate, how many successors may take the place of a node that has ended.
    """
    ends = [_Ends(executions[key], nodes) for key, nodes in ended.items()]
    # First of all, as what a failure halts must not be seen as undecided.
    for end in ends:
        end.is_halted = _count_failures(end.row, end.nodes, now=now)
    seen = _seen(ends)
    steps = Steps()
    rows: list[RunRow] = []
    changed: list[ExecutionRow] = []
    for end in ends:
        row, version = end.row, prepared(end.row.version_id)
        progress = advance(
            version.graph, end.nodes, version.joins, seen.get(row.id, {}), is_halted=end.is_halted
        )
        if _count(row, end.nodes, progress, now=now) or end.is_halted:
            changed.append(row)
        if row.status.is_final:
            steps.ended.append(row)
        rows += _run_rows(row, version, progress, now=now)
    own = _go_on(rows, want, Counter() if places is None else places, now=now)
    steps.handed_over.update(row.gate for row in own if row.gate)
    _put(rows, own, executions, steps, now=now, want=want)
    if changed:
        statements().update_executions(changed)
    steps.left |= _let_in(end.row for end in ends)
    return steps


def carry_out(row: ExecutionRow, progress: Progress, *, now: datetime) -> Steps:
    """Write a plan for one execution, inside the caller's transaction.

    Args:
        row: The execution under the caller's lock, with the counts of what has begun.
    """
    steps = Steps()
    if row.status.is_final:
        _cancel_lost(row, progress, now=now)
    else:
        _count(row, (), progress, now=now)
        if row.status.is_final:
            steps.ended.append(row)
    rows = list(_run_rows(row, prepared(row.version_id), progress, now=now))
    _put(rows, [], {row.id: row}, steps, now=now, want=None)
    statements().update_executions([row])
    steps.left |= _let_in([row])
    return steps


def _let_in(rows: Iterable[ExecutionRow]) -> set[str]:
    """Fill the places that have become free in executions that limit their nodes."""
    queues: set[str] = set()
    for row in rows:
        most = prepared(row.version_id).max_concurrency
        if most is not None and row.status is ExecutionStatus.RUNNING:
            queues |= let_in(row.id, most)
    return queues


def _seen(ends: Iterable[_Ends]) -> dict[UUID, dict[str, Arrivals | None]]:
    """Return what is stored of the joins that may be decided now, by execution."""
    keys: list[Key] = []
    for end in ends:
        version = prepared(end.row.version_id)
        needed = touched(version.graph, end.nodes, version.joins, is_halted=end.is_halted)
        keys += [(end.row.id, node_id) for node_id in needed]
    seen: dict[UUID, dict[str, Arrivals | None]] = defaultdict(dict)
    if keys:
        for (execution_id, node_id), arrivals in statements().arrivals(keys).items():
            seen[execution_id][node_id] = arrivals
    return seen


def _count_failures(row: ExecutionRow, nodes: Sequence[Ended], *, now: datetime) -> bool:
    """Count the nodes that failed; say whether a failure has halted the execution."""
    row.failed_nodes += sum(node.status is NodeStatus.FAILED for node in nodes)
    is_halted = bool(row.failed_nodes) and prepared(row.version_id).definition.is_fail_fast
    if is_halted:
        # Also what was in flight at the failure and would now be retried, or go on later.
        row.active_nodes -= cancel_unstarted([row.id], reason="another node failed", now=now)
    return is_halted


def _count(row: ExecutionRow, nodes: Sequence[Ended], progress: Progress, *, now: datetime) -> bool:
    """Keep the execution's counts and end it if nothing is left; say whether it changed."""
    lost = _cancel_lost(row, progress, now=now) if progress.lost else 0
    change = len(progress.released) - len(nodes) - lost
    row.active_nodes += change
    if row.active_nodes == 0:
        event = ExecutionEvent.FAILED if row.failed_nodes else ExecutionEvent.COMPLETED
        row.status = after_execution(row.status, event)
        row.finished_at = now
    return bool(change) or any(node.status is NodeStatus.FAILED for node in nodes)


def _cancel_lost(row: ExecutionRow, progress: Progress, *, now: datetime) -> int:
    version = prepared(row.version_id)
    return cancel_losers(
        version, row.id, progress.lost, priority=row.priority, key=row.lane_key, now=now
    )


def _run_rows(
    row: ExecutionRow, version: PreparedVersion, progress: Progress, *, now: datetime
) -> Iterator[RunRow]:
    is_paused = row.status is ExecutionStatus.PAUSED
    for status, node_ids, reason in (
        (NodeStatus.READY, progress.released, ""),
        (NodeStatus.SKIPPED, progress.skipped, "no branch that was taken leads here"),
        (NodeStatus.CANCELLED, progress.blocked, UPSTREAM_FAILED),
        (NodeStatus.PENDING, progress.waiting, ""),
    ):
        for node_id in node_ids:
            run = run_row(
                version,
                row.id,
                node_id,
                priority=row.priority,
                key=row.lane_key,
                now=now,
                status=status,
            )
            run.reason = reason
            run.is_held |= is_paused and status is NodeStatus.READY
            if arrivals := progress.waiting.get(node_id):
                run.open_edges = arrivals.open
                run.live_edges = arrivals.live
                run.broken_edges = arrivals.broken
            yield run


def _put(
    rows: list[RunRow],
    own: list[RunRow],
    executions: Mapping[UUID, ExecutionRow],
    steps: Steps,
    *,
    now: datetime,
    want: Want | None,
) -> None:
    steps.left |= {row.queue for row in rows if row.status is NodeStatus.READY and not row.is_held}
    if not rows:
        return
    token = want.tokens[0] if want and want.tokens else uuid4()
    worker_id = want.worker_id if want else None
    running = statements().put(rows, worker_id=worker_id, token=token, now=now)
    for row in own:
        run_id, attempt = running[row.execution_id, row.node_id]
        execution = executions[row.execution_id]
        steps.claims.append(
            Claim(
                id=run_id,
                execution_id=row.execution_id,
                version_id=execution.version_id,
                node_id=row.node_id,
                token=token,
                attempt=attempt,
                tenant=execution.tenant,
            )
        )


def _go_on(
    rows: Iterable[RunRow], want: Want | None, places: Counter[str], *, now: datetime
) -> list[RunRow]:
    """Turn as many released rows into running ones as the worker has room for."""
    if want is None:
        return []
    mine = [
        row
        for row in rows
        if row.status is NodeStatus.READY and not row.is_held and row.queue == want.queue
    ]
    if any(row.gate for row in mine):
        mine = let_through(mine, places, want.room, now=now)
    mine = mine[: want.room]
    for row in mine:
        row.status = NodeStatus.RUNNING
    return mine
