"""The methods for workflows: each function says which call it makes; see `methods`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from .answers import (
    Batch,
    Definition,
    Ended,
    Json,
    Reference,
)
from .answers_workflows import (
    Checked,
    Diff,
    Draft,
    Imported,
    Migration,
    NodeTypes,
    Registered,
    SavedDraft,
    Version,
    WholeVersion,
    Workflow,
)
from .exchange import Call
from .wire import NOTHING, flags, given, ids, once, payload

_WORKFLOW = "/api/workflows/{workflowId}"
_VERSION = f"{_WORKFLOW}/versions/{{number}}"


def workflows(
    *,
    tenant: str | None = None,
    is_enabled: bool | None = None,
    is_archived: bool | None = None,
    text: str | None = None,
) -> Call[Workflow]:
    """Return the workflows."""
    query = given(tenant=tenant, is_enabled=is_enabled, is_archived=is_archived, text=text)
    return Call(method="GET", path="/api/workflows", answer=Workflow, query=query)


def node_types() -> Call[NodeTypes]:
    """Return the types that nodes may have."""
    return Call(method="GET", path="/api/node-types", answer=NodeTypes)


def register(definition: Definition) -> Call[Registered]:
    """Publish a definition; the same content again changes nothing."""
    return Call(method="POST", path="/api/workflows", answer=Registered, body=definition)


def workflow(workflow_id: str) -> Call[Definition]:
    """Return the current definition of a workflow."""
    where = ids(workflow_id=workflow_id)
    return Call(method="GET", path=_WORKFLOW, answer=dict[str, Any], ids=where)


def change_workflow(workflow_id: str, fields: Mapping[str, Any]) -> Call[Workflow]:
    """Change what a workflow is called and how it runs; the fields are those of the wire."""
    where = ids(workflow_id=workflow_id)
    return Call(method="PATCH", path=_WORKFLOW, answer=Workflow, ids=where, body=fields)


def graph(workflow_id: str, *, version: int | None = None) -> Call[dict[str, Any]]:
    """Return where the nodes and edges of a picture of a workflow lie."""
    return Call(
        method="GET", path=f"{_WORKFLOW}/graph", answer=dict[str, Any],
        ids=ids(workflow_id=workflow_id), query=given(version=version),
    )  # fmt: skip


def archive_workflow(workflow_id: str) -> Call[None]:
    """Let nothing new start on a workflow."""
    where = ids(workflow_id=workflow_id)
    return Call(method="DELETE", path=_WORKFLOW, answer=type(None), ids=where)


def validate(workflow_id: str, definition: Definition) -> Call[Checked]:
    """Check a definition as publishing would; nothing is stored."""
    return Call(
        method="POST", path=f"{_WORKFLOW}/validate", answer=Checked,
        ids=ids(workflow_id=workflow_id), body=definition,
    )  # fmt: skip


def start(
    workflow_id: str,
    data: Json = None,
    *,
    priority: int | None = None,
    delay: timedelta | None = None,
    key: str | None = None,
    on_duplicate: str | None = None,
    duplicate_key: str | None = None,
    debounce: timedelta | None = None,
    idempotency_key: str | None = None,
) -> Call[Reference]:
    """Start an execution of the current version.

    Args:
        data: Its input.
        priority: 1 to 10, higher first.
        idempotency_key: The same key gives the same execution, for as long as it is kept.  None:
            a new one for this call, so that it can be tried again.
    """
    options = given(
        priority=priority, delay=delay, key=key, on_duplicate=on_duplicate,
        duplicate_key=duplicate_key, debounce=debounce,
    )  # fmt: skip
    return Call(
        method="POST", path=f"{_WORKFLOW}/execute", answer=Reference,
        ids=ids(workflow_id=workflow_id), body={"initialData": data, **options},
        headers=once(idempotency_key),
    )  # fmt: skip


def run(
    workflow_id: str,
    data: Json = None,
    *,
    wait: float = 10.0,
    priority: int | None = None,
    key: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Ended]:
    """Start an execution and let the server wait for its end, but not longer than it may.

    Args:
        wait: Seconds; less than the time that one call may take.
    """
    return Call(
        method="POST", path=f"{_WORKFLOW}/execute", answer=Ended,
        ids=ids(workflow_id=workflow_id), query=given(wait=wait),
        body={"initialData": data, **given(priority=priority, key=key)},
        headers=once(idempotency_key),
    )  # fmt: skip


def start_many(
    workflow_id: str,
    inputs: Sequence[Json],
    *,
    priority: int | None = None,
    delay: timedelta | None = None,
    key: str | None = None,
    idempotency_key: str | None = None,
) -> Call[Batch]:
    """Start an execution for each input: all of them, or none."""
    return Call(
        method="POST", path=f"{_WORKFLOW}/execute/batch", answer=Batch,
        ids=ids(workflow_id=workflow_id),
        body={"inputs": list(inputs), **given(priority=priority, delay=delay, key=key)},
        headers=once(idempotency_key),
    )  # fmt: skip


def run_node(
    workflow_id: str,
    node_id: str,
    execution_id: str,
    input_data: Json = NOTHING,
    *,
    reason: str | None = None,
) -> Call[Reference]:
    """Run one node of an execution by hand."""
    body = {**payload("inputData", input_data), **given(execution_id=execution_id, reason=reason)}
    return Call(
        method="POST", path=f"{_WORKFLOW}/nodes/{{nodeId}}/execute", answer=Reference,
        ids=ids(workflow_id=workflow_id, node_id=node_id), body=body,
    )  # fmt: skip


def versions(workflow_id: str) -> Call[Version]:
    """Return the versions of a workflow, the newest first."""
    where = ids(workflow_id=workflow_id)
    return Call(method="GET", path=f"{_WORKFLOW}/versions", answer=Version, ids=where)


def version(workflow_id: str, number: int) -> Call[WholeVersion]:
    """Return a version with its definition."""
    where = ids(workflow_id=workflow_id, number=number)
    return Call(method="GET", path=_VERSION, answer=WholeVersion, ids=where)


def diff(workflow_id: str, number: int, to: int) -> Call[Diff]:
    """Return how a version differs from another one."""
    return Call(
        method="GET", path=f"{_VERSION}/diff", answer=Diff,
        ids=ids(workflow_id=workflow_id, number=number), query=given(to=to),
    )  # fmt: skip


def activate(workflow_id: str, number: int, *, reason: str | None = None) -> Call[Version]:
    """Make an earlier published version current again."""
    return Call(
        method="POST", path=f"{_VERSION}/activate", answer=Version,
        ids=ids(workflow_id=workflow_id, number=number), body=given(reason=reason),
    )  # fmt: skip


def archive_version(workflow_id: str, number: int, *, reason: str | None = None) -> Call[Version]:
    """Let nothing new start on a version."""
    return Call(
        method="POST", path=f"{_VERSION}/archive", answer=Version,
        ids=ids(workflow_id=workflow_id, number=number), body=given(reason=reason),
    )  # fmt: skip


def draft(workflow_id: str) -> Call[Draft]:
    """Return the draft of a workflow."""
    where = ids(workflow_id=workflow_id)
    return Call(method="GET", path=f"{_WORKFLOW}/draft", answer=Draft, ids=where)


def save_draft(workflow_id: str, definition: Definition) -> Call[SavedDraft]:
    """Keep a definition as the draft, with whatever faults."""
    return Call(
        method="PUT", path=f"{_WORKFLOW}/draft", answer=SavedDraft,
        ids=ids(workflow_id=workflow_id), body=definition,
    )  # fmt: skip


def discard_draft(workflow_id: str) -> Call[None]:
    """Throw the draft away."""
    where = ids(workflow_id=workflow_id)
    return Call(method="DELETE", path=f"{_WORKFLOW}/draft", answer=type(None), ids=where)


def publish_draft(workflow_id: str) -> Call[Registered]:
    """Make the draft the current version."""
    return Call(
        method="POST", path=f"{_WORKFLOW}/draft/publish", answer=Registered,
        ids=ids(workflow_id=workflow_id), body={},
    )  # fmt: skip


def export(workflow_id: str, *, draft: bool = False) -> Call[Definition]:
    """Return a definition to be imported elsewhere."""
    return Call(
        method="GET", path=f"{_WORKFLOW}/export", answer=dict[str, Any],
        ids=ids(workflow_id=workflow_id), query=flags(draft=draft),
    )  # fmt: skip


def export_yaml(workflow_id: str, *, draft: bool = False) -> Call[str]:
    """Return a definition as YAML."""
    return Call(
        method="GET", path=f"{_WORKFLOW}/export", answer=str,
        ids=ids(workflow_id=workflow_id), query={"format": "yaml", **flags(draft=draft)},
    )  # fmt: skip


def import_workflows(
    definitions: Sequence[Definition], *, dry_run: bool = False, draft: bool = False
) -> Call[Imported]:
    """Publish definitions, or save them as drafts: all of them, or none."""
    return Call(
        method="POST", path="/api/workflows/import", answer=Imported,
        query=flags(dryRun=dry_run, draft=draft), body=list(definitions),
    )  # fmt: skip


def migrate(
    workflow_id: str,
    to_version: int,
    *,
    from_version: int | None = None,
    executions: Sequence[str] | None = None,
    after: str | None = None,
    rename: Mapping[str, str] | None = None,
    apply: bool = False,
    reason: str | None = None,
) -> Call[Migration]:
    """Say what a move of executions to another version would do, or with ``apply`` do it."""
    body = given(
        to_version=to_version, from_version=from_version, executions=executions, after=after,
        rename=rename, reason=reason,
    )  # fmt: skip
    return Call(
        method="POST", path=f"{_WORKFLOW}/migrate", answer=Migration,
        ids=ids(workflow_id=workflow_id), body={**body, "apply": apply},
    )  # fmt: skip
