"""Triggers: which events, and ends of which workflows, start which workflow."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..models import Execution, Trigger, Workflow
from ..triggers.event_triggers import change, delete
from .present import brief, chip, code, instant, lately, link, list_of, page_of, pretty
from .verbs import Order, Verb, VerbsAdmin


def _enable(pk: int, order: Order) -> None:
    change(pk, {"enabled": True}, now=order.now, by=order.by)


def _disable(pk: int, order: Order) -> None:
    change(pk, {"enabled": False}, now=order.now, by=order.by)


def _delete(pk: int, order: Order) -> None:
    delete(pk, now=order.now, by=order.by)


ENABLE = Verb(
    name="enable",
    label=_("Enable"),
    done=ngettext_lazy(
        "%(count)d trigger was enabled.", "%(count)d triggers were enabled.", "count"
    ),
    permission="change_trigger",
    apply=_enable,
    is_legal=lambda trigger: not trigger.is_enabled,
)
DISABLE = Verb(
    name="disable",
    label=_("Disable"),
    done=ngettext_lazy(
        "%(count)d trigger was disabled.", "%(count)d triggers were disabled.", "count"
    ),
    permission="change_trigger",
    apply=_disable,
    is_legal=lambda trigger: trigger.is_enabled,
)
DELETE = Verb(
    name="delete",
    label=_("Delete"),
    done=ngettext_lazy(
        "%(count)d trigger was deleted.", "%(count)d triggers were deleted.", "count"
    ),
    permission="delete_trigger",
    apply=_delete,
    is_legal=lambda trigger: not trigger.is_declared,
    warning=_("What is declared by the definition of a workflow can only be disabled here."),
)


@admin.register(Trigger)
class TriggerAdmin(VerbsAdmin):
    """Triggers, what they start and what went wrong with it."""

    list_display = ("what", "standing", "starts", "condition", "source", "trouble", "started")
    list_filter = ("kind", "is_enabled", "is_declared")
    list_select_related = ("workflow",)
    list_defer = ("map",)
    search_fields = ("name", "workflow__key")
    verbs = (ENABLE, DISABLE, DELETE)
    fields = (
        "what", "starts", "condition", "source", "tenant", "created", "failures", "last_error",
        "failed", "started",
    )  # fmt: skip
    empty_hint = _("No event starts a workflow yet. Let one do it:")
    empty_command = "python manage.py spane_triggers add order.paid WORKFLOW"

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        boxes = [] if obj.map is None else [(_("Map"), pretty(obj.map))]
        return {**super().page(request, obj), "payloads": boxes}

    @admin.display(description=_("when"))
    def what(self, trigger: Trigger) -> SafeString:
        return code(f"{trigger.name} {trigger.on}".strip(), trigger.get_kind_display())

    @admin.display(description=_("status"))
    def standing(self, trigger: Trigger) -> SafeString:
        if trigger.is_enabled:
            return chip("completed", _("enabled"))
        return chip("cancelled", _("disabled"))

    @admin.display(description=_("starts"))
    def starts(self, trigger: Trigger) -> SafeString:
        return link(page_of(Workflow, trigger.workflow_id, self.site), trigger.workflow.key)

    @admin.display(description=_("if"))
    def condition(self, trigger: Trigger) -> SafeString | str:
        return code(trigger.when) if trigger.when else ""

    @admin.display(description=_("said by"))
    def source(self, trigger: Trigger) -> str:
        return str(_("definition") if trigger.is_declared else _("hand"))

    @admin.display(description=_("last failure"))
    def trouble(self, trigger: Trigger) -> SafeString | str | None:
        return brief(trigger.last_error) if trigger.failures else None

    @admin.display(description=_("executions"))
    def started(self, trigger: Trigger) -> SafeString:
        chosen = {"workflow__id__exact": trigger.workflow_id}
        return link(list_of(Execution, self.site, **chosen), _("executions"))

    @admin.display(description=_("created"))
    def created(self, trigger: Trigger) -> SafeString | None:
        return instant(trigger.created_at)

    @admin.display(description=_("failed"))
    def failed(self, trigger: Trigger) -> SafeString | None:
        return lately(trigger.failed_at)
