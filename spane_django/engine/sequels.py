"""Sequels: executions that the end of another one starts, in the transaction that ends it.

* The **error handler** of a workflow (``onError``) when an execution has failed.
* The **ending**: whatever the status, what runs ``finally``; before it, when the execution has
  failed, a compensation that undoes its completed nodes in the reverse order of their ends.

A sequel is linked to the execution that it follows.  An error handler that fails has no error
handler of its own, or two that fail would call each other for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from ..core.errors import SpaneError
from ..core.ids import uuid7
from ..core.json import Json, encode
from ..core.parts import END
from ..core.statuses import ExecutionStatus, NodeStatus
from ..models import Execution, LogLine, NodeRun
from .current import current_version
from .outputs import outputs_of
from .payloads import composed
from .release import insert
from .rows import ExecutionRow, NewExecution
from .versions import PreparedVersion, part_of, prepared

_Relation = Execution.Relation


class AlreadyUndone(SpaneError):
    """What the execution had done has been undone, so it cannot go on: replay it."""


def require_not_undone(execution: Execution) -> None:
    """Refuse to go on with an execution whose work has been undone, even in part.

    Raises:
        AlreadyUndone: a compensation has been started.
    """
    if execution.children.filter(relation=_Relation.COMPENSATION).exists():
        raise AlreadyUndone(
            f"what execution {execution.pk} had done has been undone, so it cannot go on: replay it"
        )


def start_sequels(rows: Sequence[ExecutionRow], *, now: datetime) -> set[str]:
    """Start what follows executions that end; return the queues with work."""
    queues: set[str] = set()
    for row in rows:
        version = prepared(row.version_id)
        if version.has_sequels:
            execution = Execution.objects.get(pk=row.id)
            queues |= _start_ending(row, execution, version, now=now)
            queues |= _start_error_handler(row, execution, version, now=now)
    return queues


def _start_error_handler(
    row: ExecutionRow, execution: Execution, version: PreparedVersion, *, now: datetime
) -> set[str]:
    handler = version.definition.error_handler
    is_one = execution.relation == _Relation.ERROR_HANDLER
    if handler is None or is_one or row.status is not ExecutionStatus.FAILED:
        return set()
    try:
        found = current_version(handler)
    except SpaneError as error:
        _tell(execution, f"the error handler was not started: {error}", now=now)
        return set()
    data = {**_account(row, execution, version), "errors": list(_errors(execution))}
    return _start(row, found, _Relation.ERROR_HANDLER, data, now=now)


def _start_ending(
    row: ExecutionRow, execution: Execution, version: PreparedVersion, *, now: datetime
) -> set[str]:
    if not version.definition.has_ending:
        return set()
    has_failed = row.status is ExecutionStatus.FAILED
    steps = list(_undo_steps(execution, version)) if has_failed else []
    if not steps and "finally" not in version.definition.raw:
        return set()
    relation = _Relation.COMPENSATION if steps else _Relation.ENDING
    data = {**_account(row, execution, version), "steps": composed(steps)}
    return _start(row, part_of(version.id, END), relation, data, now=now)


def _start(
    row: ExecutionRow,
    version: PreparedVersion,
    relation: _Relation,
    data: dict[str, Json],
    *,
    now: datetime,
) -> set[str]:
    timeout = version.definition.timeout
    sequel = NewExecution(
        id=uuid7(),
        workflow_id=version.workflow_id,
        version_id=version.id,
        status=ExecutionStatus.RUNNING,
        input=encode(composed(data)),
        priority=row.priority,
        active_nodes=len(version.graph.roots),
        created_at=now,
        deadline_at=now + timeout if timeout else None,
        parent_id=row.id,
        relation=relation,
        depth=row.depth,
        follows_parent=False,
        key=row.key,
    )
    return insert(version, [sequel], now=now)


def _account(row: ExecutionRow, execution: Execution, version: PreparedVersion) -> dict[str, Any]:
    """Return what a sequel is told of the execution that it follows."""
    output = None
    if row.status is ExecutionStatus.COMPLETED:
        output = outputs_of([(row.id, row.version_id)])[row.id]
    return {
        "executionId": str(row.id),
        "workflowId": version.workflow_key,
        "status": row.status.value,
        "reason": execution.reason,
        "input": execution.input,
        "output": output,
    }


def _errors(execution: Execution) -> Iterator[dict[str, Json]]:
    failed = execution.node_runs.filter(status=NodeStatus.FAILED).order_by("finished_at", "id")
    for run in failed:
        yield {"nodeId": run.node_id, "type": run.error_type, "message": run.error_message}


def _undo_steps(execution: Execution, version: PreparedVersion) -> Iterator[Json]:
    """Yield what is to be undone, the last first, with what each node had come to."""
    undone = [key for key, node in version.definition.nodes.items() if "undo" in node.raw]
    runs = NodeRun.objects.completed().filter(execution=execution, node_id__in=undone)
    for run in runs.order_by("-finished_at", "-id"):
        yield composed({"nodeId": run.node_id, "output": run.output})


def _tell(execution: Execution, message: str, *, now: datetime) -> None:
    LogLine.objects.create(
        execution=execution, level=LogLine.Level.ERROR, message=message, created_at=now
    )
