"""The audit trail: what operators did, to be read.

Lists are narrowed by who, what and when; an object is searched for: an execution by its id,
anything else by how its name begins.  What the filters offer is what the latest entries hold, so
that no list of choices costs a scan of the whole trail.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..core.diff import changes
from ..models import AuditEntry, Execution
from .base import ReadOnlyAdmin, scope_in
from .diff_table import table_of
from .present import brief, code, instant, lately, link, page_of, short_id

_LATEST = 2_000
_PAYLOADS = frozenset({"input", "output"})


class _OfLatest(admin.SimpleListFilter):
    """Offers the values that a column has in the latest entries."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        column = str(self.parameter_name)
        entries = scope_in(request).within(AuditEntry.objects.order_by("-id"))
        values = set(entries.values_list(column, flat=True)[:_LATEST])
        if chosen := request.GET.get(column):
            values.add(chosen)
        return [(value, value) for value in sorted(values) if value]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() is None:
            return queryset
        return queryset.filter(**{str(self.parameter_name): self.value()})


class VerbFilter(_OfLatest):
    """Narrows entries to what was done."""

    title = _("what")
    parameter_name = "verb"


class UserFilter(_OfLatest):
    """Narrows entries to who did it."""

    title = _("who")
    parameter_name = "username"


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what to what and why, newest first."""

    list_display = ("what", "who", "of_execution", "target", "why", "lately")
    list_filter = (VerbFilter, UserFilter, "at")
    list_defer = ("before", "after")
    search_fields = ("target",)
    search_help_text = _("The id of an execution, or how the name of anything else begins.")
    fields = ("what", "who", "of_execution", "target", "reason", "done")
    empty_hint = _(
        "Nobody has done anything yet: whatever somebody changes here, at the API or on the "
        "command line is told in this list."
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look for an execution by its id, for anything else by how its name begins."""
        text = search_term.strip()
        if not text:
            return queryset, False
        try:
            return queryset.filter(execution_id=UUID(text)), False
        except ValueError:
            return queryset.filter(target__startswith=text), False

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        may_see = self.has_payload_permission(request)
        before, after = (_shown(facts or {}, may_see) for facts in (obj.before, obj.after))
        differences = table_of(_("What has changed"), changes(before, after))
        return {"tables": [differences] if differences.rows else []}

    @admin.display(description=_("what"))
    def what(self, entry: AuditEntry) -> SafeString:
        return code(entry.verb)

    @admin.display(description=_("who"))
    def who(self, entry: AuditEntry) -> str:
        return entry.username

    @admin.display(description=_("execution"))
    def of_execution(self, entry: AuditEntry) -> SafeString | None:
        if entry.execution_id is None:
            return None
        key = entry.execution_id
        return link(page_of(Execution, key, self.site), code(short_id(key), str(key)))

    @admin.display(description=_("why"))
    def why(self, entry: AuditEntry) -> str:
        return brief(entry.reason)

    @admin.display(description=_("time"))
    def done(self, entry: AuditEntry) -> SafeString | None:
        return instant(entry.at)

    @admin.display(description=_("time"))
    def lately(self, entry: AuditEntry) -> SafeString | None:
        return lately(entry.at)


def _shown(facts: Mapping[str, Any], may_see: bool) -> dict[str, Any]:
    hidden = () if may_see else _PAYLOADS
    return {name: None if name in hidden else value for name, value in facts.items()}
