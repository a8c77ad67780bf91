"""Signals: something happened that a node may wait for, now or later.

A signal is a row, sent in the caller's transaction.  Each is taken by one wait, the oldest; one
that nobody waits for is kept until it expires, and whoever begins to wait takes it in the same
transaction.  A signal and a wait that are committed at the same moment do not see each other:
each side looks again after its commit, and the sweep looks for both.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db.models import Exists, F, OuterRef, Q

from ..conf import settings
from ..core.errors import InvalidInput
from ..core.json import Json, UnstorableValue, encode
from ..core.schema import Fault
from ..core.statuses import NodeStatus
from ..models import NodeRun, Signal
from ..nodes.base import Arrived
from .claim import Claim
from .db import atomic, connection, in_transaction, on_commit
from .wake import wake, wake_on_commit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

_NAME_CHARACTERS, _KEY_CHARACTERS = 100, 200


def signal(
    name: str,
    payload: Json = None,
    *,
    now: datetime,
    key: str = "",
    execution_id: UUID | None = None,
    by: AbstractBaseUser | None = None,
    keep: timedelta | None = None,
) -> Signal:
    """Send a signal, inside the caller's transaction if there is one.

    Args:
        key: Which of the signals of this name, such as an order's number.
        execution_id: Send it to this execution's waits without a key, instead of ``key``.
        keep: How long it is kept if nobody waits for it yet; None: the setting ``SIGNAL_DAYS``.

    Locks:
        The node run that takes it, if one waits.

    Raises:
        InvalidInput: the name, the key or the payload is refused; every fault is listed.
    """
    key = key if execution_id is None else str(execution_id)
    faults = list(_faults(name, key, payload))
    if faults:
        raise InvalidInput(faults)
    kept = timedelta(days=settings.SIGNAL_DAYS) if keep is None else keep
    with atomic():
        sent = Signal.objects.create(
            name=name,
            key=key,
            payload=payload,
            created_at=now,
            expires_at=now + kept,
            sent_by_id=by.pk if by else None,
        )
        wake_on_commit(deliver(name, key, now=now))
        on_commit(lambda: wake(match(name, key, now=now)))
        sent.refresh_from_db()
    return sent


def match(name: str, key: str, *, now: datetime) -> set[str]:
    """Bring signals and waits together, in a transaction; return the queues with work."""
    return in_transaction(lambda: deliver(name, key, now=now))


def deliver(name: str, key: str, *, now: datetime) -> set[str]:
    """Give kept signals to the waits that are oldest; return the queues with work.

    Inside the caller's transaction.  What others are giving or taking at this moment is left to
    them.
    """
    skips = bool(connection().features.has_select_for_update_skip_locked)
    kept = Signal.objects.untaken().filter(name=name, key=key, expires_at__gt=now)
    if not kept.exists():
        return set()
    waits = NodeRun.objects.filter(status=NodeStatus.WAITING, signal_name=name, signal_key=key)
    runs = waits.select_for_update(skip_locked=skips, of=("self",) if skips else ()).order_by("id")
    signals = kept.select_for_update(skip_locked=skips).order_by("id")
    queues = set()
    for run, sent in zip(runs[: settings.BATCH], signals[: settings.BATCH], strict=False):
        _give(sent, run, now=now)
        queues.add(run.queue)
    return queues


def unmatched(*, now: datetime) -> set[tuple[str, str]]:
    """Return the names and keys of kept signals that somebody waits for."""
    waits = NodeRun.objects.filter(
        status=NodeStatus.WAITING, signal_name=OuterRef("name"), signal_key=OuterRef("key")
    )
    kept = Signal.objects.untaken().filter(Q(expires_at__gt=now), Exists(waits))
    return set(kept.values_list("name", "key")[: settings.BATCH])


def signal_of(claim: Claim) -> Arrived | None:
    """Return the signal that a node run has taken in this round; the last if several."""
    taken = Signal.objects.filter(node_run_id=claim.id, taken_round=claim.round)
    found = taken.select_related("sent_by").order_by("-taken_at", "-id").first()
    if found is None:
        return None
    sender = found.sent_by.get_username() if found.sent_by else ""
    return Arrived(payload=found.payload, sent_at=found.created_at, sent_by=sender)


def _give(sent: Signal, run: NodeRun, *, now: datetime) -> None:
    sent.node_run, sent.taken_at = run, now
    sent.taken_round = run.attempt - run.losses
    sent.save(update_fields=["node_run", "taken_at", "taken_round"])
    NodeRun.objects.filter(pk=run.pk).update(
        signal_name="", signal_key="", available_at=now, reason=F("reason")
    )


def _faults(name: str, key: str, payload: Json) -> list[Fault]:
    faults = []
    if not isinstance(name, str) or not 1 <= len(name) <= _NAME_CHARACTERS or "\x00" in name:
        message = f"a signal's name is a text of 1 to {_NAME_CHARACTERS} characters"
        faults.append(Fault("signal", "out_of_range", message))
    if not isinstance(key, str) or len(key) > _KEY_CHARACTERS or "\x00" in key:
        message = f"a signal's key is a text of at most {_KEY_CHARACTERS} characters"
        faults.append(Fault("key", "out_of_range", message))
    try:
        encode(payload, limit_bytes=settings.MAX_PAYLOAD_BYTES)
    except UnstorableValue as error:
        faults.append(Fault("payload", "unstorable", str(error)))
    return faults
