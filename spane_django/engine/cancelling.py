"""Cancelling node runs: what has not ended of an execution, or what a join went on without.

Each of these is one update under the executions' locks.  Whoever holds the claim of a node that
was running finds out when it settles, or earlier by ``ctx.cancelled``; its answer is refused.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID, uuid4

from ..core.statuses import NodeEvent, NodeStatus, node_sources
from ..models import NodeRun
from .release import run_row
from .sql import statements
from .versions import PreparedVersion

UPSTREAM_FAILED = "upstream failed"


def cancel_unstarted(
    execution_ids: Collection[UUID],
    *,
    reason: str,
    now: datetime,
    also_running: bool = False,
    node_ids: Collection[str] | None = None,
) -> int:
    """Cancel what has not started of executions; return how many active nodes that were.

    Args:
        also_running: Take running nodes from their workers too: their results are refused.
        node_ids: Only these nodes; None: all of them.
    """
    sources = set(node_sources(NodeEvent.CANCELLED))
    if not also_running:
        sources.discard(NodeStatus.RUNNING)
    runs = NodeRun.objects.filter(execution_id__in=execution_ids, status__in=sources)
    if node_ids is not None:
        runs = runs.filter(node_id__in=node_ids)
    values = {
        "status": NodeStatus.CANCELLED,
        "reason": reason[:200],
        "claim_token": None,
        "is_held": False,
        "finished_at": now,
    }
    active = runs.exclude(status=NodeStatus.PENDING).update(**values)
    runs.update(**values)
    return active


def cancel_losers(
    version: PreparedVersion,
    execution_id: UUID,
    lost: Mapping[str, str],
    *,
    priority: int,
    key: str,
    now: datetime,
) -> int:
    """Cancel what joins went on without, unless it has ended; return how many active nodes.

    Those that have no row yet get one, so that a parent that ends later finds them decided.

    Args:
        lost: The nodes, each with the join that went on.
    """
    of_join: dict[str, list[str]] = defaultdict(list)
    for node_id, join in lost.items():
        of_join[join].append(node_id)
    active, rows = 0, []
    for join, node_ids in of_join.items():
        reason = f"'{join}' went on without it"
        active += cancel_unstarted(
            [execution_id], reason=reason, now=now, also_running=True, node_ids=node_ids
        )
        runs = NodeRun.objects.filter(execution_id=execution_id, node_id__in=node_ids)
        known = set(runs.values_list("node_id", flat=True))
        for node_id in node_ids:
            if node_id not in known:
                row = run_row(
                    version, execution_id, node_id, priority=priority, key=key, now=now,
                    status=NodeStatus.CANCELLED,
                )  # fmt: skip
                row.reason = reason
                rows.append(row)
    if rows:
        statements().put(rows, worker_id=None, token=uuid4(), now=now)
    return active
