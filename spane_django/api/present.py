"""How things look on the wire: camelCase, instants in ISO 8601, UTC.

What went into a workflow and came out of it (inputs, outputs, what nodes logged beside their
messages) is shown to those who may see payloads; for others it is null and ``payloadsHidden``
is true.  Of what lies in the file storage an answer holds as much as one payload may measure;
the rest are ``{"sizeBytes", "preview"}``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..conf import settings
from ..core.statuses import NodeStatus
from ..dispatch.health import Health
from ..engine.health import Check
from ..engine.stats import QueueStats, Stats
from ..models import DeadLetter, Execution, LogLine, NodeRun
from ..models.payloads import Within
from ..models.story import LogEntry, Span, Trace, output

Shown = dict[str, Any]


def present_execution(execution: Execution, *, with_payloads: bool) -> Shown:
    """Return an execution with the results of its nodes: a few queries, however many there are."""
    runs = execution.node_runs.order_by("id").defer("checkpoint")
    if not with_payloads:
        runs = runs.defer("checkpoint", "output")
    replayed_from = execution.replay_of_id
    read = Within(settings.MAX_PAYLOAD_BYTES)
    return {
        **present_status(execution),
        "version": execution.version.number,
        "priority": execution.priority,
        "input": read(execution.input) if with_payloads else None,
        "output": output(execution, read) if with_payloads else None,
        "nodeResults": {
            run.node_id: _node_result(run, read if with_payloads else None) for run in runs
        },
        "parent": _parent(execution),
        "children": execution.count_children(),
        "metadata": {} if replayed_from is None else {"replayedFrom": replayed_from},
        "payloadsHidden": not with_payloads,
        "dataClearedAt": execution.cleared_at,
    }


def present_status(execution: Execution) -> Shown:
    """Return where an execution stands."""
    duration = execution.duration_seconds
    return {
        "executionId": execution.pk,
        "workflowId": execution.workflow.key,
        "status": execution.status,
        "reason": execution.reason,
        "createdAt": execution.created_at,
        "startAt": execution.start_at,
        "startedAt": execution.started_at,
        "deadlineAt": execution.deadline_at,
        "finishedAt": execution.finished_at,
        "durationMs": None if duration is None else duration * 1_000,
    }


def present_listed(execution: Execution) -> Shown:
    """Return an execution as lists have it; its workflow, version and parent's node are at hand."""
    return {
        **present_status(execution),
        "version": execution.version.number,
        "priority": execution.priority,
        "parent": _parent(execution),
    }


def present_ended(execution: Execution, *, with_payloads: bool) -> Shown:
    """Return what an execution came to, without its nodes."""
    read = Within(settings.MAX_PAYLOAD_BYTES)
    return {
        **present_status(execution),
        "output": output(execution, read) if with_payloads else None,
        "payloadsHidden": not with_payloads,
    }


def present_node_run(run: NodeRun, read: Callable[[Any], Any] | None) -> Shown:
    """Return a node of an execution.

    Args:
        read: How its output is read; None: it is not shown.
    """
    return {"nodeId": run.node_id, **_node_result(run, read)}


def present_log(entry: LogEntry, *, with_payloads: bool) -> Shown:
    """Return a line of a log."""
    return {
        "timestamp": entry.at,
        "level": entry.level,
        "message": entry.message,
        "nodeId": entry.node_id or None,
        "attempt": entry.attempt or None,
        "data": entry.data if with_payloads else None,
    }


def present_line(line: LogLine, *, with_payloads: bool) -> Shown:
    """Return a line that a node wrote, with its number."""
    entry = LogEntry(
        level=line.level,
        message=line.message,
        at=line.created_at,
        node_id=line.node_id,
        attempt=line.attempt,
        data=line.data,
    )
    return {"lineId": str(line.pk), **present_log(entry, with_payloads=with_payloads)}


def present_node(run: NodeRun) -> Shown:
    """Return where a node stands, without what it came to."""
    return {"nodeId": run.node_id, **_standing(run)}


def present_trace(trace: Trace) -> Shown:
    """Return a trace with its spans."""
    return {
        "traceId": trace.execution_id,
        "executionId": trace.execution_id,
        "workflowId": trace.workflow_id,
        "status": trace.status,
        "startTime": trace.started_at,
        "endTime": trace.ended_at,
        "durationMs": trace.duration_ms,
        "spans": [_span(span) for span in trace.spans],
    }


def present_dead_letter(letter: DeadLetter, *, with_payloads: bool) -> Shown:
    """Return a dead letter; its execution and that one's workflow are at hand."""
    return {
        "id": letter.pk,
        "executionId": letter.execution_id,
        "workflowId": letter.execution.workflow.key,
        "nodeId": letter.node_id,
        "nodeType": letter.node_type,
        "attempts": letter.attempts,
        "errorType": letter.error_type,
        "error": letter.error_message,
        "traceback": letter.traceback if with_payloads else None,
        "input": Within(settings.MAX_PAYLOAD_BYTES)(letter.input) if with_payloads else None,
        "createdAt": letter.created_at,
        "resolvedAt": letter.resolved_at,
        "resolution": letter.resolution or None,
        "payloadsHidden": not with_payloads,
    }


def present_stats(stats: Stats) -> Shown:
    """Return the numbers of queues and executions."""
    return {
        "queues": {name: _queue(queue) for name, queue in stats.queues.items()},
        "executions": stats.executions,
    }


def present_health(health: Health) -> Shown:
    """Return all checks; the word for the whole is that of the worst of them."""
    words = {"pass": "healthy", "warn": "degraded", "fail": "unhealthy"}
    return {
        "status": words[health.worst],
        "checks": {name: present_check(check) for name, check in health.checks.items()},
    }


def present_check(check: Check) -> Shown:
    """Return one check."""
    return {"status": check.level, "message": check.message, **check.facts}


def _parent(execution: Execution) -> Shown | None:
    if execution.parent_id is None:
        return None
    return {
        "executionId": execution.parent_id,
        "nodeId": execution.parent_run.node_id if execution.parent_run else None,
        "relation": execution.relation,
        "item": execution.item,
    }


def _node_result(run: NodeRun, read: Callable[[Any], Any] | None) -> Shown:
    return {**_standing(run), "data": read(run.output) if read else None}


def _standing(run: NodeRun) -> Shown:
    status = NodeStatus(run.status)
    succeeded = {NodeStatus.COMPLETED: True, NodeStatus.FAILED: False}
    return {
        "type": run.node_type,
        "status": run.status,
        "success": succeeded.get(status),
        "skipped": status is NodeStatus.SKIPPED,
        "error": run.error_message or None,
        "errorType": run.error_type or None,
        "nextNodes": run.next_nodes,
        "reason": run.reason,
        "attempt": run.attempt,
        "availableAt": run.available_at,
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
    }


def _span(span: Span) -> Shown:
    return {
        "id": f"{span.node_id}#{span.attempt}",
        "nodeId": span.node_id,
        "name": span.name,
        "attempt": span.attempt,
        "status": span.status,
        "startTime": span.started_at,
        "endTime": span.ended_at,
        "durationMs": span.duration_ms,
        "waitMs": span.wait_ms,
        "error": span.error or None,
    }


def _queue(queue: QueueStats) -> Shown:
    return {
        "waiting": queue.waiting,
        "active": queue.active,
        "delayed": queue.delayed,
        "completed": queue.completed,
        "failed": queue.failed,
        "workers": queue.workers,
        "oldestReadySeconds": queue.oldest_ready_seconds,
    }
