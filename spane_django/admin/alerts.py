"""Alerts: what went wrong, since when, and whether people were told."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Alert, Execution
from .base import ReadOnlyAdmin
from .present import brief, chip, instant, lately, link, page_of, short_id


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """Each kind of trouble from when it began until it was over."""

    list_display = ("what", "standing", "why", "count", "began", "seen")
    list_filter = ("rule",)
    search_fields = ("workflow_key", "queue", "error_type")
    fields = (
        "rule", "workflow_key", "queue", "error_type", "message", "count", "example", "began",
        "seen", "told", "over",
    )  # fmt: skip
    empty_hint = _("Nothing has gone wrong, or nobody is to be told. The settings name whom:")
    empty_command = 'SPANE = {"ALERTS": {"MAIL": ["ops@example.com"]}}'

    @admin.display(description=_("what"))
    def what(self, alert: Alert) -> str:
        return f"{alert.get_rule_display()}: {alert.workflow_key or alert.queue}"

    @admin.display(description=_("status"))
    def standing(self, alert: Alert) -> SafeString:
        if alert.resolved_at is not None:
            return chip("completed", _("over"))
        return chip("failed", _("goes on"))

    @admin.display(description=_("why"))
    def why(self, alert: Alert) -> str:
        return brief(f"{alert.error_type}: {alert.message}".removeprefix(": "))

    @admin.display(description=_("an execution"))
    def example(self, alert: Alert) -> SafeString | str:
        if alert.execution_id is None:
            return ""
        return link(page_of(Execution, alert.execution_id, self.site), short_id(alert.execution_id))

    @admin.display(description=_("began"))
    def began(self, alert: Alert) -> SafeString | None:
        return instant(alert.opened_at)

    @admin.display(description=_("last seen"))
    def seen(self, alert: Alert) -> SafeString | None:
        return lately(alert.last_at)

    @admin.display(description=_("told"))
    def told(self, alert: Alert) -> SafeString | None:
        return instant(alert.notified_at)

    @admin.display(description=_("over"))
    def over(self, alert: Alert) -> SafeString | None:
        return instant(alert.resolved_at)
