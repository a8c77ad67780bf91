"""The engine's verbs as a project calls them: they read the clock, the engine is told it.

All but :func:`wait_for` join the caller's transaction: an order and the execution that ships it
commit together or not at all.  Executions are named by object, id or the id's text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, Unpack
from uuid import UUID

from ..clock import now
from ..core.errors import SpaneError
from ..core.json import Json
from ..core.starting import OnDuplicate
from ..core.statuses import ExecutionStatus
from ..engine import control
from ..engine import publish as publishing
from ..engine import retry as retrying
from ..engine import start as starting
from ..engine.db import connection
from ..models import DeadLetter, Execution, WorkflowVersion
from ..subjects import columns_of

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser
    from django.db.models import Model

_FIRST_LOOK = 0.02  # seconds; each further wait is half as long again
_LONGEST_LOOK = 1.0  # seconds

AnyExecution = Execution | UUID | str


class StartKeywords(TypedDict, total=False):
    """How an execution is started; see :class:`spane_django.engine.start.StartOptions`.

    Attributes:
        tenant: Whose it is, and whose workflow of this id is meant before the one that all share.
        subject: The saved object that it is about; ``ctx.subject`` in its nodes.
    """

    priority: int | None
    start_at: datetime | None
    timeout: timedelta | None
    idempotency_key: str | None
    key: str | None
    on_duplicate: OnDuplicate | str | None
    duplicate_key: str | None
    debounce: timedelta | None
    by: AbstractBaseUser | None
    tenant: str
    traceparent: str | None
    subject: Model | None


class NeverCommitted(SpaneError):
    """An execution cannot be waited for in the transaction that may have started it."""


def publish(
    definition: Mapping[str, Any], *, by: AbstractBaseUser | None = None, tenant: str = ""
) -> WorkflowVersion:
    """Make a definition, as JSON, the current version; unchanged, it gives that version back.

    Args:
        tenant: Whose workflow it is; "": all share it.

    Raises:
        InvalidDefinition: every fault is listed, and nothing has been written.
    """
    return publishing.publish(definition, now=now(), by=by, tenant=tenant)


def start(workflow: str, data: Json = None, **options: Unpack[StartKeywords]) -> Execution:
    """Start an execution of a published workflow, in the caller's transaction if there is one.

    Args:
        workflow: The workflow's id.
        data: The input, which the nodes without parents receive.

    Returns:
        The new execution, or one like it that has not ended, if the options or the workflow say
        so of duplicates.

    Raises:
        UnknownWorkflow: it has not been published; ``manage.py spane_publish`` publishes the
            workflows of the installed apps.
        DisabledWorkflow: it starts no new executions.
        InvalidInput: the input or an option is refused; every fault is listed.
        IdempotencyConflict: the key belongs to another input.
        NoRoom: so many run already, and the workflow refuses to start more.
        DuplicateExecution: one like it has not ended, and it is to be rejected.
    """
    return starting.start(workflow, data, now=now(), options=_options(options))


def start_many(
    workflow: str, inputs: Sequence[Json], **options: Unpack[StartKeywords]
) -> list[UUID]:
    """Start one execution per input, all or none, and return their ids in order.

    Raises:
        As :func:`start`.
    """
    return starting.start_many(workflow, inputs, now=now(), options=_options(options))


def pause(
    execution: AnyExecution, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Let nothing new start; nodes in flight finish and are recorded.

    Raises:
        UnknownExecution, IllegalTransition: nothing has changed.
    """
    return control.pause(id_of(execution), now=now(), by=by, reason=reason)


def resume(
    execution: AnyExecution, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Let a paused execution go on.

    Raises:
        UnknownExecution, IllegalTransition: nothing has changed.
    """
    return control.resume(id_of(execution), now=now(), by=by, reason=reason)


def cancel(
    execution: AnyExecution, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """End an execution at once; nodes in flight see ``ctx.cancelled``.

    Raises:
        UnknownExecution, IllegalTransition: nothing has changed.
    """
    return control.cancel(id_of(execution), now=now(), by=by, reason=reason)


def replay(
    execution: AnyExecution, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Start a new execution of the same version with the same input, linked to the original.

    Raises:
        UnknownExecution: there is none.
    """
    return retrying.replay(id_of(execution), now=now(), by=by, reason=reason)


def retry(
    execution: AnyExecution, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Run every node of an execution again that failed for good; the execution goes on.

    Raises:
        UnknownExecution, UnknownDeadLetter: there is nothing to retry.
    """
    return retrying.retry_failed(id_of(execution), now=now(), by=by, reason=reason)


def retry_dead_letter(
    letter: DeadLetter | int, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> DeadLetter:
    """Run the node of a dead letter again, with a fresh budget of attempts.

    Raises:
        UnknownDeadLetter, ResolvedDeadLetter: nothing has changed.
    """
    return retrying.retry_dead_letter(_key(letter), now=now(), by=by, reason=reason)


def discard_dead_letter(
    letter: DeadLetter | int, *, by: AbstractBaseUser | None = None, reason: str = ""
) -> DeadLetter:
    """Mark a dead letter as dealt with; its execution stays failed.

    Raises:
        UnknownDeadLetter, ResolvedDeadLetter: nothing has changed.
    """
    return retrying.discard_dead_letter(_key(letter), now=now(), by=by, reason=reason)


def wait_for(execution: AnyExecution, timeout: float = 60.0) -> Execution:
    """Wait until an execution has ended and return it as it is then.

    For scripts and tests: it reads the database again and again, up to 50 times a second at
    first and once a second later.  A web request is better answered with the execution's id.

    Args:
        timeout: Seconds.

    Raises:
        TimeoutError: it has not ended in time; the message says what it is.
        NeverCommitted: called in a transaction, whose executions no worker can see.
        UnknownExecution: there is none.
    """
    deadline = time.monotonic() + timeout
    pause_seconds = _FIRST_LOOK
    while True:
        found = _read(id_of(execution))
        if ExecutionStatus(found.status).is_final:
            return found
        if connection().in_atomic_block:
            raise NeverCommitted(
                "wait_for was called inside a transaction: call it after the commit"
            )
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"execution {found.pk} is still {found.status} after {timeout:g} s")
        time.sleep(min(pause_seconds, left))
        pause_seconds = min(pause_seconds * 1.5, _LONGEST_LOOK)


def id_of(execution: AnyExecution) -> UUID:
    """Return the id of an execution however it is named."""
    match execution:
        case Execution():
            return execution.pk
        case UUID():
            return execution
        case _:
            return UUID(execution)


def _options(given: StartKeywords) -> starting.StartOptions:
    subject = given.pop("subject", None)
    options = starting.StartOptions(**given)  # type: ignore[misc]  # the subject has been taken out
    if subject is None:
        return options
    subject_type, subject_id = columns_of(subject)
    return replace(options, subject_type=subject_type, subject_id=subject_id)


def _read(execution_id: UUID) -> Execution:
    found = Execution.objects.select_related("workflow").filter(pk=execution_id).first()
    if found is None:
        raise control.UnknownExecution(f"there is no execution {execution_id}")
    return found


def _key(letter: DeadLetter | int) -> int:
    return letter if isinstance(letter, int) else letter.pk
