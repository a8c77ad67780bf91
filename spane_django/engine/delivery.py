"""Delivery: signals and the node runs that wait for them are brought together.

Each signal is taken by one wait, the oldest; one that nobody waits for is kept until it expires.
A wait takes nothing that was sent after its time was over, not even before a worker has found
that out.

A signal and a wait that are committed at the same moment do not see each other: each side looks
again after its commit, and the sweep looks for both.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q

from ..conf import settings
from ..core.statuses import NodeStatus
from ..models import NodeRun, Signal
from ..nodes.base import Arrived
from .claim import Claim
from .db import connection, in_transaction


def match(name: str, key: str, *, now: datetime) -> set[str]:
    """Bring signals and waits together, in a transaction; return the queues with work."""
    return in_transaction(lambda: deliver(name, key, now=now))


def deliver(name: str, key: str, *, now: datetime) -> set[str]:
    """Give kept signals to the waits that are oldest; return the queues with work.

    Inside the caller's transaction.  What others are giving or taking at this moment is left to
    them.

    Locks:
        No more waits than there are signals, then so many signals: one who has locked no wait
        keeps no signal from another who has.
    """
    kept = Signal.objects.untaken().filter(name=name, key=key, expires_at__gt=now).order_by("id")
    sent_at = list(kept.values_list("created_at", flat=True)[: settings.BATCH])
    if not sent_at:
        return set()
    waits = NodeRun.objects.filter(signal_name=name, signal_key=key).filter(_lasts(min(sent_at)))
    runs = list(_locked(waits.order_by("id"))[: len(sent_at)])
    signals = iter(list(_locked(kept)[: len(runs)]) if runs else ())
    queues = set()
    sent = next(signals, None)
    for run in runs:
        if sent is None:
            break
        if run.available_at is None or sent.created_at <= run.available_at:
            _give(sent, run, now=now)
            queues.add(run.queue)
            sent = next(signals, None)
    return queues


def unmatched(*, now: datetime) -> set[tuple[str, str]]:
    """Return the names and keys of kept signals that somebody waits for."""
    waits = NodeRun.objects.filter(
        _lasts(OuterRef("created_at")), signal_name=OuterRef("name"), signal_key=OuterRef("key")
    )
    kept = Signal.objects.untaken().filter(Q(expires_at__gt=now), Exists(waits))
    return set(kept.values_list("name", "key")[: settings.BATCH])


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
