"""Starting: an execution is a row in the caller's transaction, both or neither.

`start` writes the execution and the runs of its root nodes and returns at once; workers are
woken after the commit.  An execution whose start lies ahead, or that finds no slot, is only a
row until `promote` starts it.

What may be asked for is checked in `intake`; who starts at once is decided in `admission`.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError

from ..core.errors import SpaneError
from ..core.json import Json, UnstorableValue, decode, encode
from ..core.starting import OnDuplicate, Overflow
from ..core.statuses import ExecutionStatus
from ..models import Execution
from ..models.payloads import load
from . import tracing
from .admission import NoRoom, Terms, admit
from .current import DisabledWorkflow, UnknownWorkflow, current_version
from .db import alias, atomic, connection, is_manual
from .duplicates import DuplicateExecution
from .intake import StartOptions, new_rows, sameness_for
from .naming import of_workflow
from .release import insert, is_one_statement
from .rows import NewExecution
from .versions import PreparedVersion, prepared, require_startable
from .wake import wake_on_commit

__all__ = [
    "DisabledWorkflow",
    "DuplicateExecution",
    "IdempotencyConflict",
    "NoRoom",
    "OnDuplicate",
    "StartOptions",
    "UnknownWorkflow",
    "begin",
    "current_version",
    "is_stored_as",
    "start",
    "start_many",
    "start_version",
]  # fmt: skip


_PLAIN = StartOptions()


class IdempotencyConflict(SpaneError):
    """The idempotency key was used before with another input."""


def start(
    workflow: str, data: Json = None, *, now: datetime, options: StartOptions = _PLAIN
) -> Execution:
    """Start an execution of the current version, inside the caller's transaction if there is one.

    Args:
        workflow: The workflow's id.
        data: The execution's input, which its root nodes receive.

    Returns:
        The new execution, or the one that is there already, if the workflow or the options say
        so of duplicates.

    Locks:
        Nothing, unless the workflow limits its executions or duplicates are looked for: then the
        workflow, until the caller's transaction ends.

    Raises:
        UnknownWorkflow, DisabledWorkflow: there is nothing to start.
        InvalidInput: the input or an option is refused; every fault is listed.
        IdempotencyConflict: the key belongs to another input.
        NoRoom: so many run already, and the workflow refuses to start more.
        DuplicateExecution: one like it has not ended.
    """
    if options.idempotency_key is not None:
        return _start_once(workflow, data, now=now, options=options)
    return _start_one(workflow, data, now=now, options=options)


def start_many(
    workflow: str,
    inputs: Sequence[Json],
    *,
    now: datetime,
    options: StartOptions = _PLAIN,
) -> list[UUID]:
    """Start one execution per input, all or none, and return their ids in order.

    Raises:
        As `start`.  Faults of the inputs are listed with their index.
    """
    return begin(current_version(workflow, options.tenant), inputs, options, now=now)


def start_version(version_id: int, data: Json, *, now: datetime, options: StartOptions) -> UUID:
    """Start an execution of a given version: what a replay does.

    Raises:
        InvalidInput: an option is refused.
        NoRoom: so many run already, and the version refuses to start more.
        WrongVersionStatus: it is archived.
    """
    require_startable(version_id)
    (execution_id,) = begin(prepared(version_id), [data], options, now=now)
    return execution_id


def begin(
    version: PreparedVersion,
    inputs: Sequence[Json],
    options: StartOptions,
    *,
    now: datetime,
    keys: Sequence[str] = (),
) -> list[UUID]:
    """Start one execution of a version per input, all or none, and return their ids in order.

    Args:
        keys: The idempotency key of each; none: that of the options.

    Raises:
        As `start`.
        IntegrityError: a key is taken.
    """
    return _begin(version, inputs, options, now=now, keys=keys).ids


def is_stored_as(stored: Json, data: Json) -> bool:
    """Say whether an input is what an execution has been started with."""
    try:
        return bool(load(stored) == decode(encode(data)))
    except UnstorableValue:
        return False


def _start_once(workflow: str, data: Json, *, now: datetime, options: StartOptions) -> Execution:
    found = _known(workflow, data, options)
    if found is not None:
        return found
    try:
        # That a key is taken must not spoil the caller's transaction.
        with nullcontext() if connection().get_autocommit() else atomic():
            return _start_one(workflow, data, now=now, options=options)
    except IntegrityError:
        found = _known(workflow, data, options)
        if found is None:
            raise
        return found


def _known(workflow: str, data: Json, options: StartOptions) -> Execution | None:
    executions = Execution.objects.using(alias()).select_related("workflow")
    found = executions.filter(
        of_workflow(workflow, options.tenant),
        tenant=options.tenant,
        idempotency_key=options.idempotency_key,
    ).first()
    # What has been cleared cannot be compared: the key alone says that it is the same.
    if found is not None and found.cleared_at is None and not is_stored_as(found.input, data):
        raise IdempotencyConflict(
            f"the idempotency key was used with another input, for execution {found.pk}: "
            "use a new key for new work"
        )
    return found


@dataclass(frozen=True, slots=True)
class _Begun:
    """What became of inputs.

    Attributes:
        rows: What was inserted, one row per id; empty where the database may have written
            otherwise.
    """

    ids: list[UUID]
    rows: list[NewExecution] = field(default_factory=list)


def _start_one(workflow: str, data: Json, *, now: datetime, options: StartOptions) -> Execution:
    begun = _begin(current_version(workflow, options.tenant), [data], options, now=now)
    if begun.rows:
        return _as_written(begun.rows[0])
    return Execution.objects.using(alias()).get(pk=begun.ids[0])


def _begin(
    version: PreparedVersion,
    inputs: Sequence[Json],
    options: StartOptions,
    *,
    now: datetime,
    keys: Sequence[str] = (),
) -> _Begun:
    with tracing.starting(version.workflow_key, options) as traced:
        rows = new_rows(version, inputs, traced, now=now)
        for row, key in zip(rows, keys, strict=False):
            row.idempotency_key = key
        limit, action = version.max_executions, sameness_for(version, traced).action
        if limit is None and action is OnDuplicate.ALLOW:
            return _insert(version, rows, traced, now=now)
        overflow = Overflow.QUEUE if limit is None else limit.overflow
        with atomic():
            return _Begun(admit(version, rows, Terms(action, overflow, traced.by), now=now))


def _insert(
    version: PreparedVersion, rows: list[NewExecution], options: StartOptions, *, now: datetime
) -> _Begun:
    # One statement needs no transaction around it: two round trips less.
    is_one = is_one_statement(version, rows) and not is_manual()
    with nullcontext() if is_one else atomic():
        wake_on_commit(insert(version, rows, now=now))
    # What has a parent inherits from it, in the statement.
    return _Begun([row.id for row in rows], rows if options.origin is None else [])


def _as_written(row: NewExecution) -> Execution:
    """Return an inserted row as the model: reading it back took longer than inserting it."""
    execution = Execution(**{name: getattr(row, name) for name in NewExecution.__slots__})
    execution.input = decode(row.input)
    execution.status = row.status.value
    execution.started_at = row.created_at if row.status is ExecutionStatus.RUNNING else None
    execution._state.adding = False
    execution._state.db = alias()
    return execution
