"""Rows as JSON documents, in the words of the wire, and as tables for people."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from rich.table import Table

from ..core.lanes import owned
from ..models import DeadLetter, Execution, NodeRun, Workflow
from .base import add_row, coloured, table

# How much of an error a table shows; the whole of it is in spane_show and in --json.
_EXCERPT = 100


def execution_json(execution: Execution) -> dict[str, Any]:
    """Return an execution without its payloads, which may be large or private."""
    return {
        "executionId": execution.pk,
        "workflowId": execution.workflow.key,
        "version": execution.version.number,
        "status": execution.status,
        "reason": execution.reason,
        "priority": execution.priority,
        "activeNodes": execution.active_nodes,
        "failedNodes": execution.failed_nodes,
        "idempotencyKey": execution.idempotency_key,
        "replayOf": execution.replay_of_id,
        "parent": execution.parent_id,
        "relation": execution.relation or None,
        "item": execution.item,
        "createdAt": execution.created_at,
        "startAt": execution.start_at,
        "startedAt": execution.started_at,
        "deadlineAt": execution.deadline_at,
        "finishedAt": execution.finished_at,
        "dataClearedAt": execution.cleared_at,
        "durationMs": _milliseconds(execution.duration_seconds),
    }


def node_json(run: NodeRun) -> dict[str, Any]:
    """Return a node run without its output."""
    return {
        "nodeId": run.node_id,
        "type": run.node_type,
        "status": run.status,
        "reason": run.reason,
        "attempt": run.attempt,
        "failures": run.failures,
        "queue": run.queue,
        "workerId": run.worker_id,
        "availableAt": run.available_at,
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
        "error": error_json(run.error_type, run.error_message),
    }


def workflow_json(workflow: Workflow) -> dict[str, Any]:
    """Return a workflow without its definition."""
    version = workflow.current_version
    return {
        "id": workflow.key,
        **({"tenant": workflow.tenant} if workflow.tenant else {}),
        "name": workflow.name,
        "description": workflow.description,
        "isEnabled": workflow.is_enabled,
        "version": version.number if version else None,
        "nodes": len(version.definition.get("nodes", ())) if version else 0,
        "publishedAt": version.published_at if version else None,
    }


def dead_letter_json(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter without its input and its traceback."""
    return {
        "id": letter.pk,
        "executionId": letter.execution_id,
        "workflowId": letter.execution.workflow.key,
        "nodeId": letter.node_id,
        "nodeType": letter.node_type,
        "attempts": letter.attempts,
        "error": error_json(letter.error_type, letter.error_message),
        "createdAt": letter.created_at,
        "resolvedAt": letter.resolved_at,
        "resolution": letter.resolution or None,
    }


def error_json(error_type: str, message: str) -> dict[str, str] | None:
    """Return an error as the wire has it; None if there is none."""
    return {"type": error_type, "message": message} if error_type or message else None


def executions_table(executions: Iterable[Execution], *, now: datetime) -> Table:
    made = table("execution", "workflow", "status", "started", "took", "why")
    for execution in executions:
        began = execution.started_at or execution.start_at or execution.created_at
        add_row(
            made, execution.pk, f"{execution.workflow.key} v{execution.version.number}",
            coloured(execution.status), ago(began, now=now), _took(execution, now=now),
            excerpt(execution.reason),
        )  # fmt: skip
    return made


def workflows_table(workflows: Iterable[Workflow], *, now: datetime) -> Table:
    made = table("workflow", "name", "version", "nodes", "published", "")
    for workflow in workflows:
        shown = workflow_json(workflow)
        add_row(
            made, owned(workflow.tenant, workflow.key), workflow.name, shown["version"],
            shown["nodes"], ago(shown["publishedAt"], now=now),
            "" if workflow.is_enabled else "disabled",
        )  # fmt: skip
    return made


def nodes_table(runs: Iterable[NodeRun]) -> Table:
    made = table("node", "type", "status", "attempt", "took", "why")
    for run in runs:
        took = None
        if run.started_at and run.finished_at:
            took = lasting(run.finished_at - run.started_at)
        why = run.error_message or run.reason
        add_row(
            made, run.node_id, run.node_type, coloured(run.status), run.attempt, took, excerpt(why)
        )
    return made


def dead_letters_table(letters: Iterable[DeadLetter], *, now: datetime) -> Table:
    made = table("id", "workflow", "node", "execution", "attempts", "written", "error", "")
    for letter in letters:
        add_row(
            made, letter.pk, letter.execution.workflow.key, letter.node_id, letter.execution_id,
            letter.attempts, ago(letter.created_at, now=now),
            excerpt(f"{letter.error_type}: {letter.error_message}"), letter.resolution,
        )  # fmt: skip
    return made


def ago(instant: datetime | None, *, now: datetime) -> str:
    """Return how long ago something was, or in how long it will be."""
    if instant is None:
        return ""
    return f"in {lasting(instant - now)}" if instant > now else f"{lasting(now - instant)} ago"


def lasting(duration: timedelta) -> str:
    """Return a duration with the two units that matter: ``850 ms``, ``4.2 s``, ``3 h 12 min``."""
    seconds = duration.total_seconds()
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3_600, int(seconds) // 86_400
    if minutes < 60:
        return f"{minutes} min {int(seconds) % 60} s"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{days} d {hours % 24} h"


def excerpt(text: str) -> str:
    """Return the beginning of a text, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= _EXCERPT else line[: _EXCERPT - 1] + "…"


def _took(execution: Execution, *, now: datetime) -> str:
    if execution.started_at is None:
        return ""
    return lasting((execution.finished_at or now) - execution.started_at)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1_000, 3)
