"""History in sums: what executions did per minute and hour, and how queues stood.

A duty of the scheduler's leader adds each minute up once it is over, and each hour from its
minutes.  Adding a minute up again gives the same rows, so that leaders may change at any moment.
After a downtime of the scheduler what is missing is made up for, a day at most; how queues stood
then, nobody knows.  Executions that belong to others are not counted: a map of a thousand items
is one execution.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Max, Q

from ..conf import settings
from ..core.histogram import Histogram, added, bucket
from ..core.ids import first_id
from ..core.statuses import ExecutionStatus
from ..engine.db import atomic
from ..engine.scope import EVERYTHING, Scope
from ..engine.stats import queue_stats
from ..models import Execution, QueueSample, Rollup

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
# What ends in a minute may commit a little after it.
_LATE = timedelta(seconds=5)
_LONGEST_GAP = timedelta(days=1)
_PAUSE_SECONDS = 5.0
_KEPT_MINUTES = timedelta(days=2)
_ROWS = 5_000

_Owner = tuple[str, int]
"""A tenant and a workflow."""


@dataclass
class _Sums:
    started: int = 0
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    durations: Histogram = field(default_factory=dict)


class Rollups:
    """A duty of the scheduler; see `dispatch.scheduler.Duty`."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def __call__(self, now: datetime) -> bool:
        """Add up one minute that is missing; say whether there are more."""
        if time.monotonic() < self._next_at:
            return False
        has_more = roll_up(now=now)
        self._next_at = 0.0 if has_more else time.monotonic() + _PAUSE_SECONDS
        return has_more


def roll_up(*, now: datetime) -> bool:
    """Add the oldest minute up that is over and missing; say whether another one is.

    A sample of the queues marks how far it is.
    """
    newest = _floor(now - _LATE, MINUTE) - MINUTE
    last = QueueSample.objects.aggregate(at=Max("at"))["at"]
    minute = newest if last is None else max(last + MINUTE, newest - _LONGEST_GAP)
    if minute > newest:
        return False
    with atomic():
        executions = Execution.objects.top_level()
        _write(Rollup.Period.MINUTE, minute, _between(executions, minute, minute + MINUTE))
        if minute + MINUTE == _floor(minute + MINUTE, HOUR):
            _write(Rollup.Period.HOUR, minute + MINUTE - HOUR, _of_hour(minute + MINUTE - HOUR))
            _forget(now)
        _sample(minute, now=now)
    return minute < newest


def history(
    *, since: datetime, now: datetime, scope: Scope = EVERYTHING, workflows: Any = None
) -> list[Rollup]:
    """Return what happened since an instant, the oldest first, up to this moment.

    Hours where they are over, else minutes; what has not been added up yet is counted now, of a
    day at most, and told as the minute in which it begins.

    Args:
        workflows: Only of these; None: of all.
    """
    rows, executions = scope.within(Rollup.objects.all()), Execution.objects.top_level()
    executions = scope.within(executions)
    if workflows is not None:
        rows = rows.filter(workflow__in=workflows)
        executions = executions.filter(workflow__in=workflows)
    minutes = Q(period=Rollup.Period.MINUTE, at__gte=max(since, now - _KEPT_MINUTES))
    hours = Q(period=Rollup.Period.HOUR, at__gte=since)
    found = list(rows.filter(minutes | hours).order_by("at"))
    told = {_floor(row.at, HOUR) for row in found if row.period == Rollup.Period.MINUTE}
    past = [row for row in found if row.period == Rollup.Period.MINUTE or row.at not in told]
    last = QueueSample.objects.aggregate(at=Max("at"))["at"]
    begin = max(since, now - _LONGEST_GAP, last + MINUTE if last else since)
    sums = _between(executions, begin, now + MINUTE)
    return [*past, *_rows(Rollup.Period.MINUTE, begin, sums)]


def _between(executions: Any, since: datetime, until: datetime) -> dict[_Owner, _Sums]:
    sums: dict[_Owner, _Sums] = defaultdict(_Sums)
    executions = executions.order_by()
    began = executions.filter(pk__gte=first_id(since), pk__lt=first_id(until))
    for tenant, workflow, count in began.values_list("tenant", "workflow").annotate(Count("pk")):
        sums[tenant, workflow].started = count
    over = executions.filter(finished_at__gte=since, finished_at__lt=until)
    columns = ("tenant", "workflow", "status", "started_at", "finished_at")
    for tenant, workflow, status, started, finished in over.values_list(*columns).iterator(_ROWS):
        own = sums[tenant, workflow]
        own.ended[status] += 1
        if started is not None and status == ExecutionStatus.COMPLETED:
            key = bucket(finished - started)
            own.durations[key] = own.durations.get(key, 0) + 1
    return sums


def _of_hour(hour: datetime) -> dict[_Owner, _Sums]:
    sums: dict[_Owner, _Sums] = defaultdict(_Sums)
    minutes = Rollup.objects.filter(period=Rollup.Period.MINUTE, at__gte=hour, at__lt=hour + HOUR)
    for minute in minutes:
        own = sums[minute.tenant, minute.workflow_id]
        own.started += minute.started
        for status in _ENDS:
            own.ended[status] += getattr(minute, status)
        own.durations = added([own.durations, minute.durations])
    return sums


_ENDS = [status.value for status in ExecutionStatus if status.is_final]


def _write(period: Rollup.Period, at: datetime, sums: dict[_Owner, _Sums]) -> None:
    Rollup.objects.bulk_create(
        _rows(period, at, sums),
        update_conflicts=True,
        unique_fields=["period", "at", "workflow", "tenant"],
        update_fields=["started", "durations", *_ENDS],
    )


def _rows(period: Rollup.Period, at: datetime, sums: dict[_Owner, _Sums]) -> list[Rollup]:
    return [
        Rollup(
            period=period, at=at, tenant=tenant, workflow_id=workflow, started=own.started,
            durations=own.durations, **{status: own.ended[status] for status in _ENDS},
        )
        for (tenant, workflow), own in sums.items()
    ]  # fmt: skip


def _sample(minute: datetime, *, now: datetime) -> None:
    queues = queue_stats(now=now).queues
    samples = (
        QueueSample(
            at=minute, queue=name, waiting=queue.waiting, delayed=queue.delayed,
            active=queue.active, workers=queue.workers,
            oldest_seconds=queue.oldest_ready_seconds,
        )
        for name, queue in queues.items()
    )  # fmt: skip
    QueueSample.objects.bulk_create(samples, ignore_conflicts=True)


def _forget(now: datetime) -> None:
    Rollup.objects.filter(period=Rollup.Period.MINUTE, at__lt=now - _KEPT_MINUTES).delete()
    QueueSample.objects.filter(at__lt=now - _KEPT_MINUTES).delete()
    kept = timedelta(days=settings.ROLLUP_KEEP_DAYS)
    Rollup.objects.filter(period=Rollup.Period.HOUR, at__lt=now - kept).delete()


def totals(rows: Iterable[Rollup]) -> dict[str, int]:
    """Return the sums of rollups by name: what started, and what ended how."""
    total = dict.fromkeys(("started", *_ENDS), 0)
    for row in rows:
        for name in total:
            total[name] += getattr(row, name)
    return total


def _floor(at: datetime, width: timedelta) -> datetime:
    seconds = int(width.total_seconds())
    return datetime.fromtimestamp(int(at.timestamp()) // seconds * seconds, tz=at.tzinfo)
