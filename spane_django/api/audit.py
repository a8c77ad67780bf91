"""The audit trail over HTTP: read and never written.

Inputs and outputs that operators gave by hand are shown to those who may see payloads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import django_filters
from rest_framework.request import Request
from rest_framework.response import Response

from ..models import AuditEntry
from .auth import may_see_payloads
from .base import EngineView
from .filters import IDENTIFIER, WireFilter, filtered, instant, text
from .openapi import example, extend_schema, page_of
from .pages import page
from .present import Shown
from .shapes_audit import AUDIT_PAGE, AuditEntryShape

_PAYLOADS = frozenset({"input", "output"})


class AuditFilters(django_filters.FilterSet):
    """Filters of audit entries."""

    user = text("username", "The name of who did it.", longest=150)
    verb = text("verb", "What was done, such as `cancel`.", longest=40)
    execution = WireFilter("execution_id", IDENTIFIER, "The id of an execution.")
    target = text("target", "What else it was done to: a node, a workflow, a gate.", longest=250)
    since = instant("at", "Done then or later.", lookup="gte")
    until = instant("at", "Done earlier.", lookup="lt")


class AuditView(EngineView):
    """Lists who did what to what and why, newest first."""

    permissions = {"GET": "spane_django.view_auditentry"}
    filterset_class = AuditFilters
    is_paged = True

    @extend_schema(
        summary="Read the audit trail",
        responses=page_of(AuditEntryShape),
        examples=[example("A page", AUDIT_PAGE)],
    )
    def get(self, request: Request) -> Response:
        entries = self.scope.within(AuditEntry.objects.all())
        present = _presenter(with_payloads=may_see_payloads(request))
        return page(request, filtered(request, AuditFilters, entries), present, ordering=("-id",))


def _presenter(*, with_payloads: bool) -> Callable[[AuditEntry], Shown]:
    def shown(facts: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if facts is None or with_payloads:
            return facts
        return {name: None if name in _PAYLOADS else value for name, value in facts.items()}

    def present(entry: AuditEntry) -> Shown:
        return {
            "id": str(entry.pk),
            "at": entry.at,
            "user": entry.username or None,
            "verb": entry.verb,
            "executionId": entry.execution_id,
            "target": entry.target or None,
            "before": shown(entry.before),
            "after": shown(entry.after),
            "reason": entry.reason,
            "payloadsHidden": not with_payloads,
        }

    return present
