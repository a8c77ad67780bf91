"""Sequels: executions that the end of another one starts, in the transaction that ends it.

* The **error handler** of a workflow (``onError``) when an execution has failed.
* The **ending**: whatever the status, what runs ``finally``; before it, when the execution has
  failed, a compensation that undoes its completed nodes in the reverse order of their ends.
* **Listeners**: workflows that name this one, and the way it ends, among their triggers.  They
  are asked for with one query for all that ends in a transaction.

A sequel is linked to the execution that it follows.  An error handler that fails has no error
handler of its own, or two that fail would call each other for ever; a chain of listeners ends
where nesting does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..conf import settings
from ..core.errors import InvalidInput, SpaneError
from ..core.expressions import ExpressionError
from ..core.ids import uuid7
from ..core.json import Json, UnstorableValue, encode
from ..core.parts import END
from ..core.schema import faults_in
from ..core.statuses import ExecutionStatus, NodeStatus
from ..core.triggers import applies, mapped
from ..models import Execution, NodeRun, Trigger
from ..models.payloads import KEY, is_form, load
from .current import current_version
from .origin import require_room, tell
from .outputs import outputs_of
from .payloads import composed
from .release import insert
from .rows import ExecutionRow, NewExecution
from .sql import statements
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


def start_sequels(rows: Sequence[ExecutionRow], *, now: datetime) -> tuple[set[str], set[str]]:
    """Start what follows executions that end.

    Returns:
        The queues with work, and the slots in which a sequel waits for a place.
    """
    queues: set[str] = set()
    slots: set[str] = set()
    listeners = _listeners(rows)
    for row in rows:
        version = prepared(row.version_id)
        heard = listeners.get((version.workflow_key, row.status.value), ())
        if not version.has_sequels and (not heard or version.part):
            continue
        execution = Execution.objects.get(pk=row.id)
        for sequel in (
            *_ending(row, execution, version, now=now),
            *_error_handler(row, execution, version, now=now),
            *_triggered(row, execution, heard, now=now),
        ):
            queues |= insert(prepared(sequel.version_id), [sequel], now=now)
            slots |= {sequel.slot} - {""}
    return queues, slots


def _error_handler(
    row: ExecutionRow, execution: Execution, version: PreparedVersion, *, now: datetime
) -> Iterator[NewExecution]:
    handler = version.definition.error_handler
    is_one = execution.relation == _Relation.ERROR_HANDLER
    if handler is None or is_one or row.status is not ExecutionStatus.FAILED:
        return
    try:
        found = current_version(handler, row.tenant)
    except SpaneError as error:
        tell(row.id, f"the error handler was not started: {error}", now=now)
        return
    data = {**_account(row, execution, version), "errors": list(_errors(execution))}
    yield _sequel(row, found, _Relation.ERROR_HANDLER, composed(data), now=now)


def _ending(
    row: ExecutionRow, execution: Execution, version: PreparedVersion, *, now: datetime
) -> Iterator[NewExecution]:
    if not version.definition.has_ending:
        return
    has_failed = row.status is ExecutionStatus.FAILED
    steps = list(_undo_steps(execution, version)) if has_failed else []
    if not steps and "finally" not in version.definition.raw:
        return
    relation = _Relation.COMPENSATION if steps else _Relation.ENDING
    data = {**_account(row, execution, version), "steps": composed(steps)}
    yield _sequel(row, part_of(version.id, END), relation, composed(data), now=now)


_Listeners = Mapping[tuple[str, str], Sequence[Trigger]]
"""Triggers by the workflow that ends and how it does."""


def _listeners(rows: Sequence[ExecutionRow]) -> _Listeners:
    whole = {version.workflow_key for row in rows if not (version := prepared(row.version_id)).part}
    found: dict[tuple[str, str], list[Trigger]] = {}
    kind = Trigger.Kind.WORKFLOW
    if whole and (heard := statements().heard(kind.value, whole)):
        chosen = Trigger.objects.live().filter(kind=kind, name__in=heard)
        for trigger in chosen.select_related("workflow").order_by("workflow_id", "id"):
            found.setdefault((trigger.name, trigger.on), []).append(trigger)
    return found


def _triggered(
    row: ExecutionRow, execution: Execution, heard: Sequence[Trigger], *, now: datetime
) -> Iterator[NewExecution]:
    """Yield what the end of an execution sets off; what is refused is told in its log."""
    for trigger in heard:
        if not Trigger.objects.filter(pk=trigger.pk).heard_by(row.tenant).exists():
            continue
        try:
            sequel = _follower(row, execution, trigger, now=now)
        except (SpaneError, ExpressionError, UnstorableValue) as error:
            name = trigger.workflow.key
            tell(row.id, f"'{name}' was not started by this end: {error}", now=now)
            continue
        if sequel is not None:
            yield sequel


def _follower(
    row: ExecutionRow, execution: Execution, trigger: Trigger, *, now: datetime
) -> NewExecution | None:
    """Return what a trigger starts; None: it does not apply.

    Raises:
        ChainTooLong, ExpressionError, InvalidInput, PayloadUnavailable, UnstorableValue.
    """
    account = _account(row, execution, prepared(row.version_id))
    if row.status is ExecutionStatus.FAILED:
        account["errors"] = list(_errors(execution))
    data = composed(account)
    version = prepared(trigger.workflow.current_version_id or 0)
    schema = version.definition.input_schema
    if trigger.when or trigger.map is not None or schema:
        loaded = load(data)
        if not applies(trigger.when, loaded):
            return None
        given = mapped(trigger.map, loaded)
        if schema and (faults := list(faults_in(schema, given, "input"))):
            raise InvalidInput(faults)
        if trigger.map is not None:
            encode(given, limit_bytes=settings.MAX_PAYLOAD_BYTES)
            # No file is written under a lock: what an expression has made stays in the row.
            data = {KEY: {"literal": given}} if is_form(given) else given
    require_room(row.depth)
    sequel = _sequel(row, version, _Relation.TRIGGERED, data, now=now)
    sequel.depth, sequel.trigger = row.depth + 1, f"workflow:{trigger.name}"
    return sequel


def _sequel(
    row: ExecutionRow,
    version: PreparedVersion,
    relation: _Relation,
    data: Json,
    *,
    now: datetime,
) -> NewExecution:
    timeout = version.definition.timeout
    # Who holds the lock of an execution may not take that of a workflow, so that another one
    # decides whether there is a place.
    slot, slot_limit = version.slot_for(row.key, row.tenant)
    return NewExecution(
        id=uuid7(),
        workflow_id=version.workflow_id,
        version_id=version.id,
        status=ExecutionStatus.PENDING if slot else ExecutionStatus.RUNNING,
        input=encode(data),
        priority=row.priority,
        active_nodes=0 if slot else len(version.graph.roots),
        created_at=now,
        deadline_at=now + timeout if timeout else None,
        slot=slot,
        slot_limit=slot_limit,
        parent_id=row.id,
        relation=relation,
        depth=row.depth,
        follows_parent=False,
        key=row.key,
        tenant=row.tenant,
    )


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
