"""Why is this execution not moving?  One sentence, and the facts behind it, from the rows alone.

What only Redis knows, whether an idle worker listens, is not told here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..conf import settings
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import Execution, NodeRun, Worker
from .promote import holders, limit_of, listed, place_in_line
from .versions import WORKFLOW_SLOT

# The most nodes that are told one by one.
_MOST_FACTS = 10
_COLUMNS = (
    "execution_id", "node_id", "status", "attempt", "failures", "queue", "worker_id", "is_held",
    "available_at", "started_at", "error_type", "error_message",
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
    facts = list(_facts(runs[:_MOST_FACTS], now=now))
    if len(runs) > _MOST_FACTS:
        facts.append("There are more.")
    due = [run for run in runs if run.status in _CLAIMABLE and _is_due(run, now)]
    return Explanation(
        sentence=_sentence(execution, status, now=now),
        facts=facts,
        queues=sorted({run.queue for run in due}),
    )


_CLAIMABLE = (NodeStatus.READY, NodeStatus.WAITING)
_UNFINISHED = [NodeStatus.FAILED, *_CLAIMABLE, NodeStatus.RUNNING]


def _sentence(execution: Execution, status: ExecutionStatus, *, now: datetime) -> str:
    reason = f": {execution.reason}" if execution.reason else ""
    match status:
        case ExecutionStatus.COMPLETED:
            return "It has completed."
        case ExecutionStatus.FAILED:
            return f"It has failed{reason or f': {execution.failed_nodes} nodes failed for good'}."
        case ExecutionStatus.CANCELLED:
            return f"It was cancelled{reason}."
        case ExecutionStatus.PAUSED:
            return f"It is paused{reason}; nothing new starts until it is resumed."
        case ExecutionStatus.PENDING:
            return _pending(execution, now=now)
        case ExecutionStatus.RUNNING:
            return f"It is running; {execution.active_nodes} nodes are ready, running or waiting."


def _pending(execution: Execution, *, now: datetime) -> str:
    if execution.slot and (execution.start_at is None or execution.start_at <= now):
        return _in_line(execution, now=now)
    if execution.start_at is None:
        return "It has not started."
    if execution.start_at > now:
        return f"It starts in {_said(execution.start_at - now)}, at {execution.start_at:%F %T} UTC."
    late = _said(now - execution.start_at)
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


def _facts(runs: list[NodeRun], *, now: datetime) -> Iterator[str]:
    workers = Worker.objects.in_bulk({run.worker_id for run in runs if run.worker_id})
    for run in runs:
        match run.status:
            case NodeStatus.RUNNING:
                yield _running(run, workers.get(run.worker_id), now=now)
            case NodeStatus.FAILED:
                yield (
                    f"'{run.node_id}' failed for good in attempt {run.attempt}: "
                    f"{run.error_type}: {run.error_message}"
                )
            case _:
                yield _claimable(run, now=now)


def _running(run: NodeRun, worker: Worker | None, *, now: datetime) -> str:
    began = f"'{run.node_id}' (attempt {run.attempt}) "
    since = f"for {_said(now - run.started_at)}" if run.started_at else "now"
    if worker is None or worker.stopped_at is not None:
        return began + "was running on a worker that is gone; the sweep makes it run again."
    silence = now - worker.heartbeat_at
    if silence > settings.lease:
        return (
            f"{began}runs on worker {worker.name}, silent for {_said(silence)}: taken for dead, "
            "and the sweep makes it run again."
        )
    return f"{began}has been running {since} on worker {worker.name}."


def _claimable(run: NodeRun, *, now: datetime) -> str:
    began = f"'{run.node_id}' (attempt {run.attempt}) "
    last = f"; last error: {run.error_type}: {run.error_message}" if run.error_type else ""
    if run.is_held:
        return f"{began}is held until the execution is resumed{last}."
    if not _is_due(run, now):
        wait = f"{_said(run.available_at - now)}, until {run.available_at:%F %T} UTC"  # type: ignore[operator]
        why = "is tried again after" if run.status == NodeStatus.READY else "waits another"
        return f"{began}{why} {wait}{last}."
    waited = _said(now - run.available_at) if run.available_at else "now"
    return f"{began}has been ready for {waited}: it needs a worker of queue '{run.queue}'{last}."


def _is_due(run: NodeRun, now: datetime) -> bool:
    return not run.is_held and (run.available_at is None or run.available_at <= now)


def _said(duration: timedelta) -> str:
    seconds = duration.total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=int(seconds)))
