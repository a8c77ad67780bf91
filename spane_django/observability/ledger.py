"""The ledger of alerts: rows that say what was found and whether people were told.

Two leaders, for a moment, tell nothing twice: a kind of trouble has one open row, and who moves its
``next_at`` forward is the one to tell.  If that process dies, or nothing could be delivered, it
is told when ``next_at`` has come again.  The rules:

* what is new is told at once, what goes on every ``REPEAT_SECONDS``, and once more when it is over;
* a message holds what is due, at most `MOST`, and follows another after `PAUSE` at the earliest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError
from django.db.models import Max, Q

from ..core.alerting import AlertSettings
from ..engine.db import atomic
from ..models import Alert
from .findings import LOOK_BACK, Finding

MOST = 20
PAUSE = timedelta(seconds=60)
# What was taken and not told is told by the next who looks, after so long.
RETRY = timedelta(seconds=120)
KEPT = timedelta(days=30)


def note(findings: Sequence[Finding], options: AlertSettings, *, now: datetime) -> None:
    """Bring the rows up to date with what was found."""
    by_key = {finding.key: finding for finding in findings}
    # What is over and was seen before the look back is no longer found.
    recent = Q(resolved_at=None) | Q(last_at__gte=now - LOOK_BACK)
    known = Alert.objects.filter(recent, key__in=by_key).order_by("id")
    latest = {alert.key: alert for alert in known}
    for key, finding in by_key.items():
        alert = latest.get(key)
        if alert is not None and alert.last_at >= finding.last_at:
            continue
        if alert is not None and alert.resolved_at is None:
            Alert.objects.filter(pk=alert.pk).update(**_facts(finding))
        else:
            _open(finding, now=now)
    _resolve(options, now=now)
    Alert.objects.filter(resolved_at__lt=now - KEPT, last_at__lt=now - KEPT).delete()


def take(options: AlertSettings, *, now: datetime) -> list[Alert]:
    """Take what is to be told now; whoever takes it tells it, and nobody else does."""
    told_at = Alert.objects.aggregate(at=Max("notified_at"))["at"]
    if told_at is not None and told_at > now - PAUSE:
        return []
    due = Alert.objects.filter(next_at__lte=now).order_by("next_at", "id")
    taken = []
    for alert in due[:MOST]:
        has_news = alert.notified_at is None or alert.last_at > alert.notified_at
        repeat = timedelta(seconds=options.REPEAT_SECONDS)
        until = now + (RETRY if has_news or alert.resolved_at else repeat)
        mine = Alert.objects.filter(pk=alert.pk, next_at=alert.next_at).update(next_at=until)
        if mine and (has_news or alert.resolved_at):
            alert.next_at = until
            taken.append(alert)
    return taken


def told(alerts: Iterable[Alert], options: AlertSettings, *, now: datetime) -> None:
    """Say that people were told."""
    for alert in alerts:
        row = Alert.objects.filter(pk=alert.pk)
        row.update(notified_at=now)
        # Not if it has come to an end meanwhile, which is still to be told.
        is_over = alert.resolved_at is not None
        again = None if is_over else now + timedelta(seconds=options.REPEAT_SECONDS)
        row.filter(next_at=alert.next_at).update(next_at=again)


def _facts(finding: Finding) -> dict[str, object]:
    return {
        "last_at": finding.last_at,
        "message": finding.message,
        "count": max(1, len(finding.executions)),
        "execution_id": next(iter(finding.executions), None),
    }


def _open(finding: Finding, *, now: datetime) -> None:
    try:
        with atomic():
            Alert.objects.create(
                key=finding.key,
                rule=finding.rule,
                tenant=finding.tenant,
                workflow_key=finding.workflow,
                error_type=finding.error_type,
                queue=finding.queue,
                opened_at=now,
                next_at=now,
                **_facts(finding),
            )
    except IntegrityError:
        return  # somebody else was faster


def _resolve(options: AlertSettings, *, now: datetime) -> None:
    quiet = Alert.objects.open().filter(
        last_at__lte=now - timedelta(seconds=options.RESOLVE_SECONDS)
    )
    # What nobody could be told of is still due, and told as what it is: over.
    tells = options.TELL_RESOLVED
    quiet.filter(notified_at=None).update(resolved_at=now)
    quiet.exclude(notified_at=None).update(resolved_at=now, next_at=now if tells else None)
