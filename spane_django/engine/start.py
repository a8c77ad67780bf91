"""Starting: an execution is a row in the caller's transaction, both or neither.

`start` writes the execution and the runs of its root nodes and returns at once; workers are
woken after the commit.  An execution whose start lies ahead, or that finds no slot, is only a
row until `promote` starts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError

from ..conf import settings
from ..core.errors import InvalidInput, SpaneError
from ..core.ids import uuid7
from ..core.json import Json, UnstorableValue, decode, encode
from ..core.schema import Fault, faults_in
from ..core.statuses import ExecutionStatus
from ..models import Execution, Workflow
from ..models.payloads import load
from .db import alias, atomic
from .payloads import store
from .release import insert
from .rows import NewExecution
from .versions import PreparedVersion, prepared, require_startable
from .wake import wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class UnknownWorkflow(SpaneError):
    """No workflow of this id has been published."""


class DisabledWorkflow(SpaneError):
    """The workflow is disabled and starts no new executions."""


class IdempotencyConflict(SpaneError):
    """The idempotency key was used before with another input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """How an execution is started.

    Attributes:
        priority: 1 to 10, higher first; None: the workflow's.
        start_at: Not before; None: at once.
        timeout: How long it may take from its start; None: the workflow's.
        idempotency_key: A second start of the same workflow with the same key and the same
            input gives the first execution back.
        by: Who starts it.
        replay_of: The execution that this one repeats.
    """

    priority: int | None = None
    start_at: datetime | None = None
    timeout: timedelta | None = None
    idempotency_key: str | None = None
    by: AbstractBaseUser | None = None
    replay_of: UUID | None = None


def start(
    workflow: str, data: Json = None, *, now: datetime, options: StartOptions = StartOptions()
) -> Execution:
    """Start an execution of the current version, inside the caller's transaction if there is one.

    Args:
        workflow: The workflow's id.
        data: The execution's input, which its root nodes receive.

    Raises:
        UnknownWorkflow, DisabledWorkflow: there is nothing to start.
        InvalidInput: the input or an option is refused; every fault is listed.
        IdempotencyConflict: the key belongs to another input.
    """
    if options.idempotency_key is not None:
        return _start_once(workflow, data, now=now, options=options)
    (execution_id,) = start_many(workflow, [data], now=now, options=options)
    return Execution.objects.using(alias()).select_related("workflow").get(pk=execution_id)


def start_many(
    workflow: str,
    inputs: Sequence[Json],
    *,
    now: datetime,
    options: StartOptions = StartOptions(),
) -> list[UUID]:
    """Start one execution per input, all or none, and return their ids in order.

    Raises:
        As `start`.  Faults of the inputs are listed with their index.
    """
    version = current_version(workflow)
    texts = _checked_inputs(version, inputs, options, now=now)
    with atomic():
        return _insert(version, texts, now=now, options=options)


def start_version(version_id: int, data: Json, *, now: datetime, options: StartOptions) -> UUID:
    """Start an execution of a given version: what a replay does.

    Raises:
        InvalidInput: an option is refused.
        WrongVersionStatus: it is archived.
    """
    require_startable(version_id)
    version = prepared(version_id)
    texts = _checked_inputs(version, [data], options, now=now)
    with atomic():
        (execution_id,) = _insert(version, texts, now=now, options=options)
    return execution_id


def current_version(workflow: str) -> PreparedVersion:
    """Return the version that new executions of a workflow run.

    Raises:
        UnknownWorkflow, DisabledWorkflow: there is none.
    """
    found = Workflow.objects.filter(key=workflow).values_list("current_version_id", "is_enabled")
    row = found.first()
    if row is None or row[0] is None:
        raise UnknownWorkflow(f"Workflow '{workflow}' not found: publish its definition first")
    if not row[1]:
        raise DisabledWorkflow(f"Workflow '{workflow}' is disabled: enable it to start it")
    return prepared(row[0])


def _start_once(workflow: str, data: Json, *, now: datetime, options: StartOptions) -> Execution:
    found = _known(workflow, data, options)
    if found is not None:
        return found
    try:
        with atomic():
            (execution_id,) = start_many(workflow, [data], now=now, options=options)
    except IntegrityError:
        found = _known(workflow, data, options)
        if found is None:
            raise
        return found
    return Execution.objects.using(alias()).select_related("workflow").get(pk=execution_id)


def _known(workflow: str, data: Json, options: StartOptions) -> Execution | None:
    executions = Execution.objects.using(alias()).select_related("workflow")
    found = executions.filter(
        workflow__key=workflow, idempotency_key=options.idempotency_key
    ).first()
    # What has been cleared cannot be compared: the key alone says that it is the same.
    if found is not None and found.cleared_at is None and not _is_stored_as(found.input, data):
        raise IdempotencyConflict(
            f"the idempotency key was used with another input, for execution {found.pk}: "
            "use a new key for new work"
        )
    return found


def _is_stored_as(stored: Json, data: Json) -> bool:
    try:
        return bool(load(stored) == decode(encode(data)))
    except UnstorableValue:
        return False


def _insert(
    version: PreparedVersion, texts: list[str], *, now: datetime, options: StartOptions
) -> list[UUID]:
    is_delayed = options.start_at is not None and options.start_at > now
    priority = options.priority or version.definition.priority
    timeout = options.timeout or version.definition.timeout
    begins = options.start_at if is_delayed else now
    rows = [
        NewExecution(
            id=uuid7(),
            workflow_id=version.workflow_id,
            version_id=version.id,
            status=ExecutionStatus.PENDING if is_delayed else ExecutionStatus.RUNNING,
            input=text,
            priority=priority,
            active_nodes=0 if is_delayed else len(version.graph.roots),
            created_at=now,
            started_by_id=options.by.pk if options.by else None,
            start_at=options.start_at if is_delayed else None,
            deadline_at=begins + timeout if timeout and begins else None,
            replay_of_id=options.replay_of,
            idempotency_key=options.idempotency_key,
        )
        for text in texts
    ]
    wake_on_commit(insert(version, rows, now=now))
    return [row.id for row in rows]


def _checked_inputs(
    version: PreparedVersion, inputs: Sequence[Json], options: StartOptions, *, now: datetime
) -> list[str]:
    faults = list(_option_faults(options))
    texts = []
    for index, data in enumerate(inputs):
        path = "initialData" if len(inputs) == 1 else f"initialData[{index}]"
        try:
            texts.append(encode(data, limit_bytes=settings.MAX_PAYLOAD_BYTES))
        except UnstorableValue as error:
            faults.append(Fault(path, "unstorable", str(error)))
        else:
            schema = version.definition.input_schema
            faults += faults_in(schema, data, path) if schema else ()
    if faults:
        raise InvalidInput(faults)
    return [store(text, now=now) for text in texts]


def _option_faults(options: StartOptions) -> Iterable[Fault]:
    if options.priority is not None and not 1 <= options.priority <= 10:
        yield Fault("priority", "out_of_range", "Priority must be between 1 and 10")
    if options.idempotency_key is not None and not 1 <= len(options.idempotency_key) <= 200:
        message = "an idempotency key has 1 to 200 characters"
        yield Fault("idempotencyKey", "out_of_range", message)
