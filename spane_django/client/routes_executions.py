"""The methods for executions: each function says which call it makes; see `methods`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from .answers import (
    Events,
    Execution,
    Explanation,
    Json,
    ListedExecution,
    LogEntry,
    NodeRun,
    Reference,
    Status,
    Trace,
)
from .exchange import Call
from .wire import NOTHING, given, ids, payload

_EXECUTION = "/api/executions/{executionId}"
_NODE = f"{_EXECUTION}/nodes/{{nodeId}}"


def executions(
    *,
    workflow: str | None = None,
    version: int | None = None,
    status: Sequence[str] | None = None,
    tenant: str | None = None,
    key: str | None = None,
    idempotency_key: str | None = None,
    created_since: datetime | None = None,
    created_until: datetime | None = None,
    parent: str | None = None,
    trigger: str | None = None,
    subject: str | None = None,
    text: str | None = None,
) -> Call[ListedExecution]:
    """Return executions, the newest first; without ``parent`` those started on their own."""
    query = given(
        workflow=workflow, version=version, status=",".join(status) if status else None,
        tenant=tenant, key=key, idempotency_key=idempotency_key, created_since=created_since,
        created_until=created_until, parent=parent, trigger=trigger, subject=subject, text=text,
    )  # fmt: skip
    return Call(method="GET", path="/api/executions", answer=ListedExecution, query=query)


def execution(execution_id: str) -> Call[Execution]:
    """Return an execution with the results of its nodes."""
    where = ids(execution_id=execution_id)
    return Call(method="GET", path=_EXECUTION, answer=Execution, ids=where)


def nodes(
    execution_id: str,
    *,
    status: Sequence[str] | None = None,
    type: str | None = None,
    node: str | None = None,
) -> Call[NodeRun]:
    """Return the nodes of an execution."""
    query = given(status=",".join(status) if status else None, type=type, node=node)
    where = ids(execution_id=execution_id)
    return Call(method="GET", path=f"{_EXECUTION}/nodes", answer=NodeRun, ids=where, query=query)


def logs(
    execution_id: str,
    *,
    level: Sequence[str] | None = None,
    node: str | None = None,
    text: str | None = None,
) -> Call[LogEntry]:
    """Return what happened, in the order of time."""
    query = given(level=",".join(level) if level else None, node=node, text=text)
    where = ids(execution_id=execution_id)
    return Call(method="GET", path=f"{_EXECUTION}/logs", answer=LogEntry, ids=where, query=query)


def explain(execution_id: str) -> Call[Explanation]:
    """Return why an execution does not move, or what it is doing."""
    where = ids(execution_id=execution_id)
    return Call(method="GET", path=f"{_EXECUTION}/explain", answer=Explanation, ids=where)


def trace(execution_id: str) -> Call[Trace]:
    """Return a span for every attempt of every node."""
    where = ids(execution_id=execution_id)
    return Call(method="GET", path=f"{_EXECUTION}/trace", answer=Trace, ids=where)


def news(execution_id: str, *, after: str | None = None) -> Call[Events]:
    """Return what has happened since a cursor, without waiting."""
    return Call(
        method="GET", path=f"{_EXECUTION}/events", answer=Events,
        ids=ids(execution_id=execution_id), query=given(after=after),
    )  # fmt: skip


def pause(execution_id: str, *, reason: str | None = None) -> Call[Status]:
    """Let nothing new start."""
    return _say("pause", execution_id, reason)


def resume(execution_id: str, *, reason: str | None = None) -> Call[Status]:
    """Let a paused execution go on."""
    return _say("resume", execution_id, reason)


def cancel(execution_id: str, *, reason: str | None = None) -> Call[Status]:
    """End an execution at once."""
    return _say("cancel", execution_id, reason)


def retry(execution_id: str, *, reason: str | None = None) -> Call[Status]:
    """Run the nodes again that failed for good."""
    return _say("retry", execution_id, reason)


def replay(execution_id: str, *, reason: str | None = None) -> Call[Reference]:
    """Start the same version with the same input again."""
    return Call(
        method="POST", path=f"{_EXECUTION}/replay", answer=Reference,
        ids=ids(execution_id=execution_id), body=given(reason=reason),
    )  # fmt: skip


def reassign(
    execution_id: str,
    *,
    queue: str | None = None,
    priority: int | None = None,
    reason: str | None = None,
) -> Call[Status]:
    """Move what has not ended of an execution to a queue, a priority or both."""
    return Call(
        method="POST", path=f"{_EXECUTION}/reassign", answer=Status,
        ids=ids(execution_id=execution_id),
        body=given(queue=queue, priority=priority, reason=reason),
    )  # fmt: skip


def rerun(
    execution_id: str,
    *,
    start: str = "failed",
    version: str = "same",
    input: Json = NOTHING,
    reason: str | None = None,
) -> Call[Status]:
    """Run an execution again from what ``failed`` or from the ``start``.

    Args:
        version: ``same``, in place; ``latest``, as a new execution.
    """
    body = {"from": start, "version": version, **payload("input", input), **given(reason=reason)}
    return Call(
        method="POST", path=f"{_EXECUTION}/rerun", answer=Status,
        ids=ids(execution_id=execution_id), body=body,
    )  # fmt: skip


def rerun_from(
    execution_id: str,
    node_id: str,
    *,
    version: str = "same",
    input: Json = NOTHING,
    output: Json = NOTHING,
    next_nodes: Sequence[str] | None = None,
    reason: str | None = None,
) -> Call[Status]:
    """Run an execution again from a node, with another input or output if one is given."""
    values = {**payload("input", input), **payload("output", output)}
    body = {"version": version, **values, **given(next_nodes=next_nodes, reason=reason)}
    return Call(
        method="POST", path=f"{_EXECUTION}/rerun-from/{{nodeId}}", answer=Status,
        ids=ids(execution_id=execution_id, node_id=node_id), body=body,
    )  # fmt: skip


def retry_now(execution_id: str, node_id: str, *, reason: str | None = None) -> Call[Status]:
    """Let a node go on now that waits for a time."""
    return _say_to_node("retry-now", execution_id, node_id, given(reason=reason))


def skip(execution_id: str, node_id: str, *, reason: str | None = None) -> Call[Status]:
    """Let an execution go on without a node."""
    return _say_to_node("skip", execution_id, node_id, given(reason=reason))


def complete(
    execution_id: str,
    node_id: str,
    output: Json,
    *,
    next_nodes: Sequence[str] | None = None,
    reason: str | None = None,
) -> Call[Status]:
    """Complete a node by hand."""
    body = {"output": output, **given(next_nodes=next_nodes, reason=reason)}
    return _say_to_node("complete", execution_id, node_id, body)


def _say(verb: str, execution_id: str, reason: str | None) -> Call[Status]:
    return Call(
        method="POST", path=f"{_EXECUTION}/{verb}", answer=Status,
        ids=ids(execution_id=execution_id), body=given(reason=reason),
    )  # fmt: skip


def _say_to_node(
    verb: str, execution_id: str, node_id: str, body: Mapping[str, Json]
) -> Call[Status]:
    return Call(
        method="POST", path=f"{_NODE}/{verb}", answer=Status,
        ids=ids(execution_id=execution_id, node_id=node_id), body=body,
    )  # fmt: skip
