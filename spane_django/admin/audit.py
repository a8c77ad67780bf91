"""The audit trail: what operators did, to be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import AuditEntry, Execution
from .base import ReadOnlyAdmin
from .present import brief, code, instant, lately, link, page_of, pretty, short_id

_PAYLOADS = frozenset({"input", "output"})


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who did what to what and why, newest first."""

    list_display = ("what", "who", "of_execution", "target", "why", "lately")
    list_filter = ("at", "verb")
    list_defer = ("before", "after")
    search_fields = ("=username", "=target", "=execution_id")
    fields = ("what", "who", "of_execution", "target", "reason", "done")
    empty_hint = _("Nobody has done anything yet.")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        may_see = self.has_payload_permission(request)
        return {
            "payloads": [
                (label, pretty(_shown(facts, may_see)))
                for label, facts in ((_("Before"), obj.before), (_("After"), obj.after))
                if facts is not None
            ]
        }

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
