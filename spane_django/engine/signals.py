"""Signals: something happened that a node may wait for, now or later.

A signal is a row, sent in the caller's transaction: with it comes what was waited for, without
it nothing does.  Who takes it is decided in `delivery`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from ..conf import settings
from ..core.errors import InvalidInput, SpaneError
from ..core.json import Json, UnstorableValue, encode
from ..core.schema import Fault
from ..core.statuses import ExecutionStatus
from ..core.waiting import key_faults, name_faults
from ..models import Execution, Signal
from .audit import Owned, record
from .control import UnknownExecution
from .db import atomic, on_commit
from .delivery import Awaited, deliver, match
from .wake import wake, wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser


class InvalidSignal(InvalidInput):
    """The signal is refused."""

    headline = "Signal refused"


class EndedExecution(SpaneError):
    """The execution that the signal is for has ended: nothing of it will take it."""


def signal(
    name: str,
    payload: Json = None,
    *,
    now: datetime,
    key: str | None = None,
    execution_id: UUID | None = None,
    by: AbstractBaseUser | None = None,
    keep: timedelta | None = None,
    tenant: str = "",
) -> Signal:
    """Send a signal, inside the caller's transaction if there is one.

    Args:
        key: Which of the signals of this name, such as an order's number; None is "".
        execution_id: Send it to this execution's waits without a key, instead of ``key``.
        by: Who sends it: it is audited.
        keep: How long it is kept if nobody waits for it yet; None: the setting ``SIGNAL_DAYS``.
        tenant: Whose executions may take it; with ``execution_id`` it is that one's.

    Locks:
        The node run that takes it, if one waits.

    Raises:
        InvalidSignal: the name, the key or the payload is refused; every fault is listed.
        UnknownExecution, EndedExecution: the execution can take nothing.
    """
    faults = list(_faults(name, payload, key=key, execution_id=execution_id))
    if faults:
        raise InvalidSignal(faults)
    if execution_id is not None:
        tenant = _check_target(execution_id)
        key = str(execution_id)
    kept = timedelta(days=settings.SIGNAL_DAYS) if keep is None else keep
    with atomic():
        sent = Signal.objects.create(
            name=name,
            key=key or "",
            tenant=tenant,
            payload=payload,
            created_at=now,
            expires_at=now + kept,
            sent_by_id=by.pk if by else None,
        )
        if by is not None:
            after = {"name": name, "key": sent.key}
            record(
                "signal", now=now, by=by, execution_id=execution_id,
                target=Owned(name, tenant), after=after,
            )  # fmt: skip
        awaited = Awaited(name, sent.key, tenant)
        wake_on_commit(deliver(awaited, now=now))
        on_commit(lambda: wake(match(awaited, now=now)))
        sent.refresh_from_db(fields=["node_run", "taken_at", "taken_round"])
    return sent


def _check_target(execution_id: UUID) -> str:
    """Refuse a signal to an execution that can take none; return its tenant."""
    found = Execution.objects.filter(pk=execution_id).values_list("status", "tenant").first()
    if found is None:
        raise UnknownExecution(f"there is no execution {execution_id}")
    status, tenant = found
    if ExecutionStatus(status).is_final:
        raise EndedExecution(f"execution {execution_id} has ended ({status}): nothing of it waits")
    return tenant


def _faults(
    name: str, payload: Json, *, key: str | None, execution_id: UUID | None
) -> Iterator[Fault]:
    yield from _as_faults("signal", name_faults(name))
    if key is not None:
        yield from _as_faults("key", key_faults(key))
        if execution_id is not None:
            message = "a signal is sent to a key or to an execution: leave one of them out"
            yield Fault("key", "ambiguous", message)
    try:
        encode(payload, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    except UnstorableValue as error:
        yield Fault("payload", "unstorable", str(error))


def _as_faults(path: str, messages: Iterable[str]) -> Iterator[Fault]:
    return (Fault(path, "out_of_range", message) for message in messages)
