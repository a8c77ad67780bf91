"""Filters and the search of lists: each is served by an index, none by a scan of history.

The id of an execution begins with the time of its making, so that filters by time and the search
by the beginning of an id are ranges of the primary key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.ids import first_id
from ..core.statuses import ExecutionStatus
from ..models import DeadLetter, Execution, Workflow
from .base import scope_in

_HEX_DIGITS = 32
_CHOICES = 50

PERIODS: dict[str, tuple[Any, timedelta]] = {
    "1h": (_("past hour"), timedelta(hours=1)),
    "24h": (_("past 24 hours"), timedelta(hours=24)),
    "7d": (_("past 7 days"), timedelta(days=7)),
    "30d": (_("past 30 days"), timedelta(days=30)),
}


def ids_beginning_with(text: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last id that begin so; None if no id can."""
    digits = text.strip().lower().replace("-", "")
    if not 0 < len(digits) <= _HEX_DIGITS or set(digits) - set("0123456789abcdef"):
        return None
    return UUID(digits.ljust(_HEX_DIGITS, "0")), UUID(digits.ljust(_HEX_DIGITS, "f"))


class CreatedFilter(admin.SimpleListFilter):
    """Narrows executions to the past hour, day, week or month."""

    title = _("created")
    parameter_name = "created"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(key, label) for key, (label, _length) in PERIODS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in PERIODS:
            return queryset
        _label, length = PERIODS[str(self.value())]
        return queryset.filter(pk__gte=first_id(current_time() - length))


class DefaultFilter(admin.SimpleListFilter):
    """A filter that narrows also if nothing is chosen, to what `usual` names."""

    ALL: ClassVar[str] = "all"
    usual: ClassVar[Any] = ""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        name = str(self.parameter_name)
        for value, label in [(None, self.usual), *self.lookup_choices]:
            query = changelist.get_query_string(
                {name: value} if value else {}, [] if value else [name]
            )
            yield {
                "selected": self.value() == value,
                "query_string": query,
                "display": label,
            }


class LevelFilter(DefaultFilter):
    """Shows executions that were started on their own, unless asked for all.

    Who searches, or looks for the children of one, asks for whatever there is.
    """

    title = _("level")
    parameter_name = "level"
    usual = _("started on their own")
    _ASKS_FOR_ALL = ("q", "parent", "parent_run")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(self.ALL, _("All, with those that others started"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        asks = any(request.GET.get(name) for name in self._ASKS_FOR_ALL)
        return queryset if asks or self.value() == self.ALL else queryset.filter(parent=None)


class FailedFilter(admin.SimpleListFilter):
    """Narrows workflows to those of which an execution has failed in the past 24 hours."""

    title = _("failures")
    parameter_name = "failed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("24h", _("in the past 24 hours")), ("none", _("none in the past 24 hours"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in ("24h", "none"):
            return queryset
        since = current_time() - PERIODS["24h"][1]
        failed = scope_in(request).within(Execution.objects.top_level())
        failed = failed.filter(status=ExecutionStatus.FAILED, finished_at__gte=since)
        ids = failed.order_by().values("workflow")
        is_asked = self.value() == "24h"
        return queryset.filter(pk__in=ids) if is_asked else queryset.exclude(pk__in=ids)


class WorkflowFilter(admin.RelatedFieldListFilter):
    """Narrows a list to one of the workflows that the user may see."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        found = scope_in(request).within(Workflow.objects.order_by("key", "tenant"))
        return [(pk, name) for pk, name in found.values_list("pk", "name")]


class ResolvedFilter(DefaultFilter):
    """Shows open dead letters unless asked for others."""

    title = _("status")
    parameter_name = "resolved"
    usual = _("open")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            (DeadLetter.Resolution.RETRIED, _("retried")),
            (DeadLetter.Resolution.DISCARDED, _("discarded")),
            (self.ALL, _("All")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == self.ALL:
            return queryset
        if self.value() in DeadLetter.Resolution.values:
            return queryset.filter(resolution=self.value())
        return queryset.filter(resolved_at=None)


class _OpenLetters(admin.SimpleListFilter):
    """Offers the values that open dead letters have."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        column = str(self.parameter_name)
        letters = scope_in(request).within(DeadLetter.objects.open())
        values = letters.order_by(column).values_list(column, flat=True)
        known = list(values.distinct()[:_CHOICES])
        chosen = request.GET.get(column)
        if chosen and chosen not in known:
            known.append(chosen)
        return [(value, value) for value in known]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(**{str(self.parameter_name): self.value()})


class ErrorTypeFilter(_OpenLetters):
    """Narrows dead letters to one type of error."""

    title = _("error type")
    parameter_name = "error_type"


class NodeFilter(_OpenLetters):
    """Narrows dead letters to one node."""

    title = _("node")
    parameter_name = "node_id"
