"""Dead letters by filter: those of an execution that fit are retried or discarded as one step.

Bulk operations go through executions; a filter of dead letters is the argument of their verbs,
`retry-letters` and `discard-letters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Exists, OuterRef

from ..core.instants import instant_from
from ..core.schema import Fault, Schema
from ..models import DeadLetter
from ..models.execution import ExecutionQuerySet
from ..models.history import DeadLetterQuerySet
from .control import locked
from .db import atomic
from .retry import NothingToRetry, discard_dead_letter, retry_dead_letter

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_TEXT: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
_UUID = "^[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}$"

FILTER: dict[str, Schema] = {
    "workflow": {**_TEXT, "maxLength": 100},
    "execution": {"type": "string", "pattern": _UUID},
    "node": {**_TEXT, "maxLength": 100},
    "nodeType": {**_TEXT, "maxLength": 100},
    "errorType": _TEXT,
    "text": _TEXT,
    "createdSince": {"type": "string", "format": "date-time"},
    "createdUntil": {"type": "string", "format": "date-time"},
}
"""What dead letters may be chosen by; ``text`` is part of the error."""

_COLUMNS = {
    "workflow": "execution__workflow__key",
    "execution": "execution_id",
    "node": "node_id",
    "nodeType": "node_type",
    "errorType": "error_type",
    "text": "error_message__icontains",
    "createdSince": "created_at__gte",
    "createdUntil": "created_at__lt",
}


def letters_of(chosen: Mapping[str, Any]) -> DeadLetterQuerySet:
    """Return the open dead letters that a filter chooses."""
    wanted = {
        column: _read(name, chosen[name]) for name, column in _COLUMNS.items() if name in chosen
    }
    return DeadLetter.objects.open().filter(**wanted)


def filter_faults(chosen: Mapping[str, Any]) -> Iterable[Fault]:
    """Yield what is wrong with a filter that fits the schema."""
    for name in ("createdSince", "createdUntil"):
        if name in chosen and instant_from(chosen[name]) is None:
            message = f"'{chosen[name][:50]}' is no time with a zone: write 2025-01-31T12:00:00Z"
            yield Fault(name, "no_time", message)


def with_letters(executions: ExecutionQuerySet, chosen: Mapping[str, Any]) -> ExecutionQuerySet:
    """Return those executions that have dead letters of a filter."""
    return executions.filter(Exists(letters_of(chosen).filter(execution=OuterRef("pk"))))


def retry_letters(execution_id: UUID, chosen: Mapping[str, Any], **who: Any) -> None:
    """Run the nodes of an execution again whose dead letters a filter chooses.

    Raises:
        UnknownExecution, NothingToRetry: nothing has changed.
    """
    _each(retry_dead_letter, execution_id, chosen, **who)


def discard_letters(execution_id: UUID, chosen: Mapping[str, Any], **who: Any) -> None:
    """Mark the dead letters of an execution that a filter chooses as dealt with.

    Raises:
        UnknownExecution, NothingToRetry: nothing has changed.
    """
    _each(discard_dead_letter, execution_id, chosen, **who)


def _each(
    verb: Callable[..., DeadLetter],
    execution_id: UUID,
    chosen: Mapping[str, Any],
    *,
    now: datetime,
    by: AbstractBaseUser | None = None,
    reason: str = "",
) -> None:
    with atomic():
        locked(execution_id)
        letters = letters_of(chosen).filter(execution=execution_id).order_by("id")
        keys = list(letters.values_list("pk", flat=True))
        if not keys:
            raise NothingToRetry(f"execution {execution_id} has no such open dead letter")
        for key in keys:
            verb(key, now=now, by=by, reason=reason)


def _read(name: str, value: str) -> Any:
    return instant_from(value) if name in ("createdSince", "createdUntil") else value
