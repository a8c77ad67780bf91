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
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Count, Max, Q, QuerySet, Sum

from ..conf import settings
from ..core.histogram import Histogram, added, bucket
from ..core.ids import first_id
from ..core.statuses import ExecutionStatus
from ..engine.db import atomic, connection
from ..engine.scope import EVERYTHING, Scope
from ..engine.stats import live_queues
from ..models import Execution, QueueSample, Rollup

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
# What ends in a minute may commit a little after it.
_LATE = timedelta(seconds=5)
_LONGEST_GAP = timedelta(days=1)
_PAUSE_SECONDS = 5.0
_KEPT_MINUTES = timedelta(days=2)
_ROWS = 5_000

_Owner = tuple[str, Any]
"""A tenant and a workflow; None: all of them."""


@dataclass
class _Sums:
    started: int = 0
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    durations: Histogram = field(default_factory=dict)

    def add(self, other: _Sums) -> None:
        self.started += other.started
        for status, count in other.ended.items():
            self.ended[status] += count
        self.durations = added([self.durations, other.durations])


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
    day at most, and told as the minute in which it begins.  Tenants are summed by the database:
    what is returned grows with the time and the workflows that are asked for alone.

    Args:
        workflows: Only of these, each on its own; None: of all together, of none by name.
    """
    rows, executions = scope.within(Rollup.objects.all()), Execution.objects.top_level()
    executions = scope.within(executions)
    if workflows is not None:
        rows = rows.filter(workflow__in=workflows)
        executions = executions.filter(workflow__in=workflows)
    last = QueueSample.objects.aggregate(at=Max("at"))["at"]
    by = () if workflows is None else ("workflow",)
    past = _summed(rows.filter(_told(since, last=last or since)), by)
    begin = max(since, now - _LONGEST_GAP, last + MINUTE if last else since)
    own: dict[_Owner, _Sums] = defaultdict(_Sums)
    for (_tenant, workflow), sums in _between(executions, begin, now + MINUTE).items():
        own["", workflow if by else None].add(sums)
    return [*past, *_rows(Rollup.Period.MINUTE, begin, own)]


def _told(since: datetime, *, last: datetime) -> Q:
    """Return a condition: hours that are over, and the minutes before and after them.

    Args:
        last: The minute that was added up last.
    """
    first_hour = _floor(since, HOUR)
    first_hour += HOUR if first_hour < since else timedelta(0)
    open_hour = max(first_hour, _floor(last + MINUTE, HOUR))
    minutes = Q(at__gte=since, at__lt=first_hour) | Q(at__gte=open_hour)
    return Q(period=Rollup.Period.HOUR, at__gte=since, at__lt=open_hour) | (
        Q(period=Rollup.Period.MINUTE) & minutes
    )


def _summed(rows: QuerySet[Rollup], by: tuple[str, ...]) -> list[Rollup]:
    """Add rows of the same time up, those of each workflow on their own if they are asked for."""
    sums = {name: Sum(name) for name in ("started", *_ENDS)}
    found = {}
    for told in rows.order_by("at").values("period", "at", *by).annotate(**sums):
        workflow: Any = told.pop("workflow", None)
        found[told["at"], workflow] = Rollup(**told, workflow_id=workflow, durations={})
    with suppress(EmptyResultSet):
        for told in _durations(rows.order_by(), by):
            workflow = told.workflow_id if by else None
            found[told.at, workflow].durations[told.bucket] = told.number
    return list(found.values())


def _durations(rows: QuerySet[Rollup], by: tuple[str, ...]) -> Iterable[Any]:
    """Return how many took how long: a row for each bucket, summed where it is kept."""
    inner, values = rows.values("id", "at", *by, "durations").query.sql_with_params()
    each = "jsonb_each_text" if connection().vendor == "postgresql" else "json_each"
    columns = ", ".join(("at", *(f"{name} AS {name}_id" for name in by)))
    return Rollup.objects.raw(
        f"SELECT MIN(past.id) AS id, {columns}, told.key AS bucket,"  # noqa: S608  # names of ours
        f" SUM(CAST(told.value AS integer)) AS number"
        f" FROM ({inner}) AS past, {each}(past.durations) AS told"
        f" GROUP BY {', '.join(('at', *by))}, told.key",
        values,
    )


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
    queues = live_queues(now=now)
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
