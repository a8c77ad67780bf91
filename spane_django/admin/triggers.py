"""Triggers: which events, and ends of which workflows, start which workflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..core.errors import SpaneError
from ..models import Execution, Trigger, Workflow
from ..triggers.event_triggers import change, delete
from .base import scope_in
from .editing import EditingAdmin
from .present import brief, chip, code, instant, lately, link, list_of, page_of, pretty
from .trigger_forms import TriggerForm, TryForm
from .verbs import Order, Verb


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
class TriggerAdmin(EditingAdmin):
    """Triggers, what they start and what went wrong with it."""

    list_display = ("what", "standing", "starts", "condition", "source", "trouble", "started")
    list_filter = ("kind", "is_enabled", "is_declared")
    list_select_related = ("workflow",)
    list_defer = ("map",)
    search_fields = ("name", "workflow__key")
    verbs = (ENABLE, DISABLE, DELETE)
    make_label = _("Make an event trigger")
    fields = (
        "what", "starts", "condition", "source", "tenant", "created", "failures", "last_error",
        "failed", "started",
    )  # fmt: skip
    empty_hint = _("No event starts a workflow yet. Let one do it, here or on the command line:")
    empty_command = "python manage.py spane_triggers add order.paid WORKFLOW"

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        boxes = [] if obj.map is None else [(_("Map"), pretty(obj.map))]
        return {**super().page(request, obj), "payloads": boxes}

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.try_view)
        return [path("<int:pk>/try/", view, name=self._named("try")), *super().get_urls()]

    def form_of(self, request: HttpRequest, row: Any, data: Any) -> TriggerForm:
        chosen = request.GET.get("workflow")
        return TriggerForm(data, row=row, scope=scope_in(request), workflow=chosen)

    def may_edit(self, request: HttpRequest, row: Any) -> bool:
        """Say whether the user may edit a trigger: what a definition says is changed there."""
        return not row.is_declared and super().may_edit(request, row)

    def links(self, request: HttpRequest, obj: Any) -> Iterator[tuple[str, str | Promise]]:
        yield from super().links(request, obj)
        yield self._address(request, "try", obj.pk), _("Try…")

    def submit(
        self, request: HttpRequest, form: Any, row: Any, *, title: Any, verb: str = ""
    ) -> HttpResponse:
        """Save what was filled in, or try it if that was asked for."""
        if request.method == "POST" and "try" in request.POST:
            return self._try(request, form, row, title=title)
        return super().submit(request, form, row, title=title, verb=verb)

    def try_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what a trigger that is there would make of an event."""
        row = self.chosen(request, pk)
        form = TryForm(request.POST if request.method == "POST" else None, row=row)
        return self._try(request, form, row, title=_("Try %s") % row, may_save=False)

    def form_page(
        self, request: HttpRequest, form: Any, row: Any, *, title: Any, **more: Any
    ) -> HttpResponse:
        """Return the page of the form, with a button that tries it."""
        page = "admin/spane_django/trigger/form.html"
        told = {"page": page, "may_save": True, **more}
        return super().form_page(request, form, row, title=title, **told)

    def _try(
        self, request: HttpRequest, form: Any, row: Any, *, title: Any, may_save: bool = True
    ) -> HttpResponse:
        trial = None
        if form.is_valid():
            try:
                trial = form.trial()
            except SpaneError as error:
                form.tell(error)
        made = pretty(trial.input) if trial and trial.applies else None
        told = {"trial": trial, "made": made, "may_save": may_save}
        return self.form_page(request, form, row, title=title, **told)

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
