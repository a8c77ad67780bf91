"""The dashboard: how the engine does now, and how it has done.

The past is read from rollups, so that it costs the same however much history there is, and is
still there when executions are long deleted.  Bars are SVG; the numbers behind them are a table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..conf import settings
from ..core.histogram import added, quantile
from ..dispatch.health import check_health, listeners
from ..engine.scope import Scope
from ..engine.stats import QueueStats, live_queues
from ..models import DeadLetter, Execution, Gate, QueueSample, Rollup, Worker
from ..models.dashboard import Dashboard
from ..observability.rollups import HOUR, MINUTE, history, totals
from .base import ReadOnlyAdmin, scope_in
from .present import chip, instant, length, list_of, spark

_HEIGHT = 100.0
_WIDTH = 1_000.0
_MOST_WORKERS = 100
_RANGES: dict[str, tuple[Any, timedelta, timedelta]] = {
    "1h": (_("1 hour"), HOUR, MINUTE),
    "24h": (_("24 hours"), timedelta(hours=24), HOUR),
    "7d": (_("7 days"), timedelta(days=7), 4 * HOUR),
    "30d": (_("30 days"), timedelta(days=30), timedelta(hours=24)),
}
_USUAL = "24h"


@dataclass(frozen=True, slots=True)
class Column:
    """What ended in a slice of time, as a bar of the chart and a row of its table."""

    at: datetime
    completed: int
    failed: int
    x: str
    width: str
    ok_y: str
    ok_height: str
    bad_y: str
    bad_height: str


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue now, and how long it was in the past hour."""

    name: str
    stats: QueueStats
    listeners: int | None
    spark: str
    longest: Any

    @property
    def needs_worker(self) -> bool:
        has_work = bool(self.stats.waiting or self.stats.active)
        return has_work and not self.stats.workers and not self.listeners


@admin.register(Dashboard)
class DashboardAdmin(ReadOnlyAdmin):
    """One page, in the place of a list."""

    def get_urls(self) -> list[URLPattern]:
        # It has no rows, so that pages of rows are none.
        return [url for url in super().get_urls() if str(url.name).endswith("_changelist")]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        now, scope = current_time(), scope_in(request)
        chosen = request.GET.get("range", _USUAL)
        chosen = chosen if chosen in _RANGES else _USUAL
        rows = history(since=now - _RANGES[chosen][1], now=now, scope=scope)
        context = {
            **self.admin_site.each_context(request),
            **(extra_context or {}),
            "opts": self.opts,
            "media": self.media,
            "title": _("Dashboard"),
            "now": instant(now),
            "ranges": [(key, named[0], key == chosen) for key, named in _RANGES.items()],
            "cards": self._cards(scope, rows, now),
            "has_ended": any(row.completed or row.failed for row in rows),
            "columns": _columns(rows, since=now - _RANGES[chosen][1], until=now,
                                width=_RANGES[chosen][2]),
            "queues": _queues(now) if scope.tenants is None else (),
            "workers": _workers(now) if scope.tenants is None else (),
            "troubles": _troubles(now) if scope.tenants is None else (),
        }  # fmt: skip
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/dashboard.html", context)

    def _cards(
        self, scope: Scope, rows: Sequence[Rollup], now: datetime
    ) -> list[tuple[Any, Any, str]]:
        total = totals(rows)
        ended = total["completed"] + total["failed"] + total["cancelled"]
        p95 = quantile(added(row.durations for row in rows), 0.95)
        open_letters = scope.within(DeadLetter.objects.open())[:1_000].count()
        active = scope.within(Execution.objects.filter(status="running"))[:1_000].count()
        opened = scope.within(Gate.objects.exclude(breaker="closed")).count()
        to_failed = list_of(Execution, self.site, status__exact="failed")
        to_running = list_of(Execution, self.site, status__exact="running")
        return [
            (_("started"), total["started"], list_of(Execution, self.site)),
            (_("failed"), _share(total["failed"], ended), to_failed),
            (_("p95"), length(p95) or "–", ""),
            (_("running"), _at_least(active), to_running),
            (_("dead letters"), _at_least(open_letters), list_of(DeadLetter, self.site)),
            (_("open breakers"), opened, list_of(Gate, self.site)),
        ]  # fmt: skip


def _columns(
    rows: Sequence[Rollup], *, since: datetime, until: datetime, width: timedelta
) -> list[Column]:
    sums: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        slot = sums[int((row.at - since) / width)]
        slot[0] += row.completed
        slot[1] += row.failed
    count = max(1, int((until - since) / width))
    most = max((sum(slot) for slot in sums.values()), default=0) or 1
    step = _WIDTH / count
    columns = []
    for index in range(count):
        completed, failed = sums.get(index, (0, 0))
        ok, bad = completed / most * _HEIGHT, failed / most * _HEIGHT
        columns.append(
            Column(
                at=localtime(since + index * width),
                completed=completed,
                failed=failed,
                x=f"{index * step:.1f}",
                width=f"{step * 0.8:.1f}",
                ok_y=f"{_HEIGHT - ok:.1f}",
                ok_height=f"{ok:.1f}",
                bad_y=f"{_HEIGHT - ok - bad:.1f}",
                bad_height=f"{bad:.1f}",
            )
        )
    return columns


def _queues(now: datetime) -> list[QueueRow]:
    samples: dict[str, list[QueueSample]] = defaultdict(list)
    for sample in QueueSample.objects.filter(at__gte=now - HOUR).order_by("at"):
        samples[sample.queue].append(sample)
    return [
        QueueRow(
            name=name,
            stats=stats,
            listeners=listeners(name),
            spark=spark([sample.waiting for sample in samples[name]]),
            longest=_seconds(stats.oldest_ready_seconds),
        )
        for name, stats in live_queues(now=now).items()
    ]


def _workers(now: datetime) -> list[tuple[Worker, Any, Any]]:
    rows = Worker.objects.filter(stopped_at=None).order_by("queue", "name")[:_MOST_WORKERS]
    alive = set(Worker.objects.alive(now - settings.lease).values_list("pk", flat=True))
    return [(row, _standing(row, row.pk in alive), length(now - row.heartbeat_at)) for row in rows]


def _standing(worker: Worker, is_alive: bool) -> Any:
    return chip("running", _("at work")) if is_alive else chip("failed", _("silent"))


def _troubles(now: datetime) -> list[str]:
    """Return what is wrong, each with what to do about it."""
    checks = check_health(now=now).checks.values()
    return [check.message for check in checks if check.message]


def _share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.1%})" if whole else "0"


def _at_least(count: int) -> str:
    return f"{count}+" if count >= 1_000 else str(count)


def _seconds(seconds: float | None) -> Any:
    return None if seconds is None else length(timedelta(seconds=seconds))
