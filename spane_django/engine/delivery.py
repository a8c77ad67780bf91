"""Delivery: signals and the node runs that wait for them are brought together.

Each signal is taken by one wait, the oldest; one that nobody waits for is kept until it expires.
A wait takes nothing that was sent after its time was over, not even before a worker has found
that out, and nothing that was sent to another tenant.

A signal and a wait that are committed at the same moment do not see each other: each side looks
again after its commit, and the sweep looks for both.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Exists, OuterRef, Q

from ..conf import settings
from ..core.statuses import NodeStatus
from ..models import NodeRun, Signal
from ..models.node_run import NodeRunQuerySet
from ..models.waits import SignalQuerySet
from ..nodes.base import Arrived
from .claim import Claim
from .db import connection, in_transaction
from .scope import has_tenants

_LOOKS = 10


class Awaited(NamedTuple):
    """What brings a signal and a wait together: they are equal in all of it."""

    name: str
    key: str
    tenant: str = ""


def match(awaited: Awaited, *, now: datetime) -> set[str]:
    """Bring signals and waits together, in transactions; return the queues with work.

    Who has held a wait and had no signal for it looks again: others may have sent one meanwhile
    and found nobody.  Signals that they do not come to in so many looks are left to the sweep.
    """
    queues: set[str] = set()
    for _ in range(_LOOKS):
        look = in_transaction(lambda: _look(awaited, now=now))
        queues |= look.queues
        if not look.has_held_back or look.seen.issuperset(_kept_ids(awaited, now=now)):
            break
    return queues


def deliver(awaited: Awaited, *, now: datetime) -> set[str]:
    """Give kept signals to the waits that are oldest; return the queues with work.

    Inside the caller's transaction.  What others are giving or taking at this moment is left to
    them; the caller lets :func:`match` look again after the commit.
    """
    return _look(awaited, now=now).queues


def unmatched(*, now: datetime) -> set[Awaited]:
    """Return what signals are kept of that somebody waits for."""
    waits = NodeRun.objects.filter(
        _lasts(OuterRef("created_at")), signal_name=OuterRef("name"), signal_key=OuterRef("key")
    )
    waits = _of_tenant(waits, OuterRef("tenant"))
    kept = Signal.objects.untaken().filter(Q(expires_at__gt=now), Exists(waits))
    return {Awaited(*row) for row in kept.values_list("name", "key", "tenant")[: settings.BATCH]}


def signal_of(claim: Claim) -> Arrived | None:
    """Return the signal that ended a node run's last wait of this round; None: none has."""
    # The wait that still has a name has not been given what it was for.
    taken = Signal.objects.filter(
        node_run_id=claim.id, taken_round=claim.round, node_run__signal_name=""
    )
    found = taken.select_related("sent_by").order_by("-taken_at", "-id").first()
    if found is None:
        return None
    sender = found.sent_by.get_username() if found.sent_by else ""
    return Arrived(payload=found.payload, sent_at=found.created_at, sent_by=sender)


@dataclass(slots=True)
class _Look:
    """What came of a look for signals and waits.

    Attributes:
        seen: The signals that were there.
        has_held_back: Whether a wait was locked and was given nothing.
    """

    seen: set[int] = field(default_factory=set)
    queues: set[str] = field(default_factory=set)
    has_held_back: bool = False


def _look(awaited: Awaited, *, now: datetime) -> _Look:
    """Deliver inside the caller's transaction.

    Locks:
        No more waits than there are signals, then so many signals: one who has locked no wait
        keeps no signal from another who has.
    """
    kept = _kept(awaited, now=now)
    sent_at = dict(kept.values_list("id", "created_at")[: settings.BATCH])
    look = _Look(seen=set(sent_at))
    if not sent_at:
        return look
    waits = NodeRun.objects.filter(_lasts(min(sent_at.values())))
    waits = waits.filter(signal_name=awaited.name, signal_key=awaited.key).order_by("id")
    waits = _of_tenant(waits, awaited.tenant)
    runs = list(_locked(waits)[: len(sent_at)])
    signals = deque(_locked(kept)[: len(runs)] if runs else ())
    for run in runs:
        if signals and _is_in_time(signals[0], run):
            _give(signals.popleft(), run, now=now)
            look.queues.add(run.queue)
        else:
            look.has_held_back = True
    return look


def _of_tenant(waits: NodeRunQuerySet, tenant: Any) -> NodeRunQuerySet:
    # Without tenants nothing is joined: the sweep looks at every wait there is.
    return waits.filter(execution__tenant=tenant) if has_tenants() else waits


def _kept(awaited: Awaited, *, now: datetime) -> SignalQuerySet:
    name, key, tenant = awaited
    kept = Signal.objects.untaken().filter(name=name, key=key, tenant=tenant, expires_at__gt=now)
    return kept.order_by("id")


def _kept_ids(awaited: Awaited, *, now: datetime) -> set[int]:
    return set(_kept(awaited, now=now).values_list("id", flat=True)[: settings.BATCH])


def _is_in_time(sent: Signal, run: NodeRun) -> bool:
    return run.available_at is None or sent.created_at <= run.available_at


def _lasts(sent_at: Any) -> Q:
    """Choose the waits whose time was not over when something was sent."""
    in_time = Q(available_at__isnull=True) | Q(available_at__gte=sent_at)
    return Q(status=NodeStatus.WAITING) & in_time


def _locked(rows: Any) -> Any:
    """Lock what a query finds, but not what others have locked."""
    if connection().features.has_select_for_update_skip_locked:
        return rows.select_for_update(skip_locked=True, of=("self",))
    return rows


def _give(sent: Signal, run: NodeRun, *, now: datetime) -> None:
    sent.node_run, sent.taken_at = run, now
    sent.taken_round = run.attempt - run.losses
    sent.save(update_fields=["node_run", "taken_at", "taken_round"])
    NodeRun.objects.filter(pk=run.pk).update(signal_name="", signal_key="", available_at=now)
