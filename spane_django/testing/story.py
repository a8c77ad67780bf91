"""The story of an execution, so that a test that fails explains itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime

from ..core.json import Json
from ..core.statuses import ExecutionStatus
from ..engine.explain import explain
from ..models import Execution, NodeRun

_MOST_CHILDREN = 10
_TRACEBACK_LINES = 12
_LINE_CHARACTERS = 200


def story(execution: Execution, *, now: datetime) -> str:
    """Return what has become of an execution and of each of its nodes, and why."""
    return "\n".join(_lines(execution, now=now))


def pending_stories(*, now: datetime) -> list[str]:
    """Return the stories of all executions that have not ended."""
    unfinished = Execution.objects.unfinished().select_related("workflow", "version")
    return [story(execution, now=now) for execution in unfinished.order_by("id")]


def excerpt(value: Json) -> str:
    """Return the beginning of a JSON value, on one line."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LINE_CHARACTERS else text[: _LINE_CHARACTERS - 1] + "…"


def _lines(execution: Execution, *, now: datetime) -> Iterator[str]:
    told = explain(execution, now=now)
    yield (
        f"Execution {execution.pk} of '{execution.workflow.key}' version "
        f"{execution.version.number} is {execution.status}. {told.sentence}"
    )
    yield f"  its input: {excerpt(execution.input)}"
    for run in execution.node_runs.order_by("id"):
        yield f"  {_node(run)}"
    if not ExecutionStatus(execution.status).is_final:
        yield from (f"  {fact}" for fact in told.facts)
    yield from _tracebacks(execution)
    yield from _children(execution)


def _node(run: NodeRun) -> str:
    parts = [f"{run.node_id} ({run.node_type}): {run.status}"]
    if run.attempt > 1:
        parts.append(f"attempt {run.attempt}")
    if run.error_type or run.error_message:
        parts.append(f"{run.error_type}: {run.error_message}")
    if run.reason:
        parts.append(run.reason)
    if run.status == "completed":
        parts.append(f"answered {excerpt(run.output)}")
    return ", ".join(parts)


def _tracebacks(execution: Execution) -> Iterator[str]:
    for letter in execution.dead_letters.order_by("id"):
        lines = letter.traceback.rstrip().splitlines()
        if lines:
            yield f"  '{letter.node_id}' failed for good with:"
            yield from (f"    {line}" for line in lines[-_TRACEBACK_LINES:])


def _children(execution: Execution) -> Iterator[str]:
    children = execution.children.select_related("workflow").order_by("id")
    for child in children[:_MOST_CHILDREN]:
        name = child.workflow.key if child.item is None else f"{child.workflow.key}[{child.item}]"
        reason = f": {child.reason}" if child.reason else ""
        yield f"  {child.relation} {name}, {child.pk}, is {child.status}{reason}"
    if children.count() > _MOST_CHILDREN:
        yield f"  and {children.count() - _MOST_CHILDREN} more executions that it started"
