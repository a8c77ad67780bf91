"""Why is this execution not moving?  One sentence, and the facts behind it, from the rows alone.

What each node does or waits for is told by `facts`.  What only Redis knows, whether an idle worker
listens, is not told here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import AuditEntry, Execution
from .facts import facts_of, is_due, said
from .promote import holders, limit_of, listed, place_in_line
from .versions import WORKFLOW_SLOT

# The most nodes that are told one by one.
_MOST_FACTS = 10
_COLUMNS = (
    "execution_id", "node_id", "status", "attempt", "failures", "losses", "queue", "worker_id",
    "is_held", "is_limited", "available_at", "started_at", "error_type", "error_message",
    "signal_name", "signal_key", "failures_tolerated", "gate",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What an execution is doing, and what happens next.

    Attributes:
        sentence: The gist.
        facts: What each unfinished or failed node does or waits for, as sentences.
        queues: Queues with nodes of it that a worker could take now.
    """

    sentence: str
    facts: list[str]
    queues: list[str]


def explain(execution: Execution, *, now: datetime) -> Explanation:
    """Tell what an execution is doing and what happens next."""
    status = ExecutionStatus(execution.status)
    wanted = [NodeStatus.FAILED] if status.is_final else _UNFINISHED
    runs = list(
        execution.node_runs.filter(status__in=wanted)
        .only(*_COLUMNS)
        .order_by("id")[: _MOST_FACTS + 1]
    )
    facts = list(facts_of(execution, runs[:_MOST_FACTS], now=now))
    if len(runs) > _MOST_FACTS:
        facts.append("There are more.")
    due = [run for run in runs if run.status in _CLAIMABLE and is_due(run, now)]
    return Explanation(
        sentence=_sentence(execution, status, now=now),
        facts=facts,
        queues=sorted({run.queue for run in due}),
    )


def _failed(count: int) -> str:
    return f": {'a node' if count == 1 else f'{count} nodes'} failed for good"


_CLAIMABLE = (NodeStatus.READY, NodeStatus.WAITING)
_UNFINISHED = [NodeStatus.FAILED, *_CLAIMABLE, NodeStatus.RUNNING, NodeStatus.PENDING]


def _sentence(execution: Execution, status: ExecutionStatus, *, now: datetime) -> str:
    reason = f": {execution.reason}" if execution.reason else ""
    match status:
        case ExecutionStatus.COMPLETED:
            return "It has completed."
        case ExecutionStatus.FAILED:
            return f"It has failed{reason or _failed(execution.failed_nodes)}."
        case ExecutionStatus.CANCELLED:
            return f"It was cancelled{_who(execution, 'cancel')}{reason}."
        case ExecutionStatus.PAUSED:
            who = _who(execution, "pause")
            return f"It is paused{who}{reason}; nothing new starts until it is resumed."
        case ExecutionStatus.PENDING:
            return _pending(execution, now=now)
        case ExecutionStatus.RUNNING:
            return f"It is running; {_active(execution.active_nodes)} ready, running or waiting."


def _active(nodes: int) -> str:
    return "1 node is" if nodes == 1 else f"{nodes} nodes are"


def _who(execution: Execution, verb: str) -> str:
    """Return who did it, as far as that was an operator."""
    entries = AuditEntry.objects.filter(execution_id=execution.pk, verb=verb).order_by("-id")
    name = entries.values_list("username", flat=True).first()
    return f" by {name}" if name else ""


def _pending(execution: Execution, *, now: datetime) -> str:
    if execution.slot and (execution.start_at is None or execution.start_at <= now):
        return _in_line(execution, now=now)
    if execution.start_at is None:
        return "It has not started."
    if execution.start_at > now:
        return f"It starts in {said(execution.start_at - now)}, at {execution.start_at:%F %T} UTC."
    late = said(now - execution.start_at)
    return f"Its start was due {late} ago: neither a scheduler nor a worker has been at work since."


def _in_line(execution: Execution, *, now: datetime) -> str:
    is_shared = execution.slot.startswith(WORKFLOW_SLOT)
    limit = limit_of(execution.slot, execution.slot_limit, execution.workflow)
    of_whom = f"workflow '{execution.workflow.key}'" if is_shared else "the node that wants it"
    held = holders(execution.slot).order_by("id").values_list("id", flat=True)
    by = listed(held)
    return (
        f"It waits for one of {limit or 'any number of'} places of {of_whom}"
        f"{f', held by {by}' if by else ''}; "
        f"it is number {place_in_line(execution, now=now)} in line."
    )
