"""Running again: a node that ended, with a fresh budget of attempts, or a whole execution anew.

Rerunning a node makes it ready and opens the fate of what hangs on it and of all that was
cancelled: `reopen` writes what each is now, and the execution runs.  A dead letter that is
retried or discarded is marked so, never deleted.  A replay is a new execution, linked to the
old one, of the same version or of the latest, with the same input or another.  To run more than
one node of an execution anew is in `rerun`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError

from ..core.errors import SpaneError
from ..core.json import Json
from ..core.statuses import NodeStatus
from ..models import DeadLetter, Execution
from ..models.payloads import load
from .audit import record
from .clear import require_data
from .control import UnknownExecution, locked
from .db import atomic
from .reopen import (
    NothingToRetry,
    UnknownDeadLetter,
    UnknownNodeRun,
    resolve_letters,
    run_again,
    standing,
)
from .rerun import UNCHANGED, In, version_in
from .start import IdempotencyConflict, OnDuplicate, StartOptions, start_version

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

__all__ = [
    "NothingToRetry", "ResolvedDeadLetter", "UnknownDeadLetter", "UnknownNodeRun",
    "discard_dead_letter", "replay", "rerun", "retry_dead_letter", "retry_failed",
]  # fmt: skip


class ResolvedDeadLetter(SpaneError):
    """The dead letter has been retried or discarded already."""


def retry_dead_letter(
    dead_letter_id: int, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> DeadLetter:
    """Run the node of a dead letter again, with a fresh budget of attempts.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownDeadLetter, ResolvedDeadLetter: nothing has changed.
    """
    with atomic():
        letter = _open_letter(dead_letter_id)
        _run_again("retry", letter.execution_id, letter.node_id, now=now, by=by, reason=reason)
        letter.refresh_from_db()
    return letter


def discard_dead_letter(
    dead_letter_id: int, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> DeadLetter:
    """Mark a dead letter as dealt with; its execution stays failed.

    Raises:
        UnknownDeadLetter, ResolvedDeadLetter: nothing has changed.
    """
    with atomic():
        letter = _open_letter(dead_letter_id)
        letter.resolved_at, letter.resolution = now, DeadLetter.Resolution.DISCARDED
        letter.resolved_by_id = by.pk if by else None
        letter.save(update_fields=["resolved_at", "resolution", "resolved_by"])
        record(
            "discard", now=now, by=by, execution_id=letter.execution_id, target=letter.node_id,
            before={"deadLetter": letter.pk, "error": letter.error_message}, reason=reason,
        )  # fmt: skip
    return letter


def retry_failed(
    execution_id: UUID, *, now: datetime, by: AbstractBaseUser | None = None, reason: str = ""
) -> Execution:
    """Run every node of an execution again that failed for good.

    Raises:
        UnknownExecution: there is none.
        NothingToRetry: it has no failed node that could be retried.
    """
    with atomic():
        execution = locked(execution_id)
        letters = list(execution.dead_letters.filter(resolved_at=None).order_by("id"))
        if not letters:
            raise NothingToRetry(f"execution {execution_id} has no open dead letter to retry")
        for letter in letters:
            _run_again("retry", execution_id, letter.node_id, now=now, by=by, reason=reason)
        execution.refresh_from_db()
    return execution


def replay(
    execution_id: UUID,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
    idempotency_key: str | None = None,
    trigger: str = "",
    input: Json = UNCHANGED,
    version: In = In.SAME,
) -> Execution:
    """Start a new execution with the same input, or another, linked to the original.

    Args:
        input: What it starts with; as the original did, if nothing is given.
        version: That of the original, or the latest.
        idempotency_key: A second replay with the same key gives the first one back.
        trigger: Who starts it; "": code.

    Raises:
        IdempotencyConflict: the key was used before, and not for a replay of this execution.
        UnknownExecution: there is none.
        InvalidInput: the input is refused, or a part of a workflow is to run in the latest version.
        ClearedData: its input is gone.
        PayloadUnavailable: its input cannot be read from the file storage.
    """
    original = Execution.objects.filter(pk=execution_id).first()
    if original is None:
        raise UnknownExecution(f"Execution {execution_id} not found")
    if idempotency_key is not None and (known := _replayed(original, idempotency_key)):
        return known
    require_data(original)
    options = replace(_as_before(original), by=by, idempotency_key=idempotency_key, trigger=trigger)
    # Large data are copied: each execution has files of its own.
    data = load(original.input) if input is UNCHANGED else input
    version_id = version_in(version, original.version_id).id
    try:
        with atomic():
            replayed = start_version(version_id, data, now=now, options=options)
            made: dict[str, Json] = {"execution": str(replayed), "in": version.value}
            if input is not UNCHANGED:
                made["input"] = input
            record("replay", now=now, by=by, execution_id=original.pk, after=made, reason=reason)
    except IntegrityError:
        if idempotency_key is None or not (known := _replayed(original, idempotency_key)):
            raise
        return known
    return Execution.objects.select_related("workflow").get(pk=replayed)


def _as_before(original: Execution) -> StartOptions:
    """Return the options of a start that is like that of an execution, and no duplicate of it."""
    return StartOptions(
        priority=original.priority,
        key=original.key or None,
        tenant=original.tenant,
        subject_type=original.subject_type,
        subject_id=original.subject_id,
        on_duplicate=OnDuplicate.ALLOW,
        duplicate_key=original.duplicate_key,
        replay_of=original.pk,
    )


def _replayed(original: Execution, key: str) -> Execution | None:
    """Return the replay that a key has started.

    Raises:
        IdempotencyConflict: it has started something else.
    """
    executions = Execution.objects.filter(
        workflow=original.workflow_id, tenant=original.tenant, idempotency_key=key
    )
    found = executions.select_related("workflow").first()
    if found is not None and found.replay_of_id != original.pk:
        raise IdempotencyConflict(
            f"the idempotency key was used for execution {found.pk}, which is no replay of "
            f"{original.pk}: use a new key for new work"
        )
    return found


def rerun(
    execution_id: UUID,
    node_id: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> None:
    """Make a node that has ended ready again, inside the caller's transaction or its own.

    What has run behind it stays as it is; `rerun.rerun_from` runs that again, too.  If the node
    had failed for good, that is dealt with: its dead letter is marked as retried.

    Locks:
        The execution, then its node runs.

    Raises:
        UnknownExecution, UnknownNodeRun, IllegalTransition: nothing has changed.
    """
    with atomic():
        _run_again("rerun", execution_id, node_id, now=now, by=by, reason=reason)


def _run_again(
    verb: str,
    execution_id: UUID,
    node_id: str,
    *,
    now: datetime,
    by: AbstractBaseUser | None,
    reason: str,
) -> None:
    found = standing(execution_id)
    was = found.run(node_id).status
    run_again(found, node_id, now=now)
    retried = DeadLetter.Resolution.RETRIED
    resolve_letters(found.execution, [node_id], retried, now=now, by=by)
    record(
        verb, now=now, by=by, execution_id=execution_id, target=node_id,
        before={"status": was}, after={"status": NodeStatus.READY.value}, reason=reason,
    )  # fmt: skip


def _open_letter(dead_letter_id: int) -> DeadLetter:
    """Return an open dead letter under the lock of its execution."""
    found = DeadLetter.objects.filter(pk=dead_letter_id).first()
    if found is None:
        raise UnknownDeadLetter(f"there is no dead letter {dead_letter_id}")
    locked(found.execution_id)
    letter = DeadLetter.objects.get(pk=dead_letter_id)
    if letter.resolved_at is not None:
        raise ResolvedDeadLetter(f"dead letter {dead_letter_id} was {letter.resolution} already")
    return letter
