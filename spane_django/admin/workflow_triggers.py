"""What starts a workflow by itself, and what its end starts, as the workflow's page shows it.

One section per sort: schedules, webhooks, events, ends of other workflows, models that the code
watches, and the workflows that follow this one.  A section whose rows the user may not see is left
out.  One without rows says how to get some, with the id of the workflow already filled in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..core.json import encode
from ..models import Schedule, Trigger, Webhook, Workflow
from ..triggers.changes import ModelTrigger
from ..triggers.watching import model_triggers
from ..triggers.webhook_curl import curl
from .base import has_perm, scope_in
from .present import code, command, link, list_of, page_of

MOST = 50

Label = str | Promise
Column = tuple[Label, Any]
"""A label, and what makes the value of a row."""


@dataclass(frozen=True, slots=True)
class Starter:
    """Something that starts a workflow.

    Attributes:
        name: What it is, a link to its page if it has one.
        facts: More about it, each with its label.
        command: How to set it off from a shell.
    """

    name: SafeString
    status: SafeString | str = ""
    facts: list[tuple[Label, Any]] = field(default_factory=list)
    command: SafeString | str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Starters of one sort.

    Attributes:
        hint: What to do where there are none; `command` is what to type.
        add_url: The form that makes one, the workflow filled in; "": there is none, or the user
            may not.
        all_url: The list of all of them.
    """

    label: Label
    rows: list[Starter]
    hint: Label
    command: str = ""
    add_url: str = ""
    all_url: str = ""


def sections_of(request: HttpRequest, workflow: Workflow, admin_site: AdminSite) -> list[Section]:
    """Return the sections that the user may see."""
    sorts = (
        (Schedule, "view_schedule", _schedules),
        (Webhook, "view_webhook", _webhooks),
        (Trigger, "view_trigger", _events),
        (Trigger, "view_trigger", _ends),
        (None, "", _models),
        (Trigger, "view_trigger", _followers),
    )
    return [
        section(request, workflow, admin_site.get_model_admin(model) if model else None)
        for model, permission, section in sorts
        if model is None or (has_perm(request, permission) and admin_site.is_registered(model))
    ]


def _schedules(request: HttpRequest, workflow: Workflow, admin: Any) -> Section:
    rows: Any = scope_in(request).within(Schedule.objects.whole().with_last_start())
    facts = (
        (_("when"), admin.when), (_("next runs"), admin.following), (_("last run"), admin.last_run),
        (_("problem"), admin.trouble),
    )  # fmt: skip
    return Section(
        label=_("Schedules"),
        rows=[
            Starter(_linked(row, admin.name(row), admin), admin.standing(row), _facts(row, facts))
            for row in rows.filter(workflow=workflow).order_by("pk")[:MOST]
        ],
        hint=_("No schedule starts it. Make one:"),
        command=f"python manage.py spane_schedules add {workflow.key} --cron '0 9 * * 1-5'",
        add_url=_add_url(request, workflow, admin),
        all_url=list_of(Schedule, admin.site, workflow__id__exact=workflow.pk),
    )


def _webhooks(request: HttpRequest, workflow: Workflow, admin: Any) -> Section:
    rows = scope_in(request).within(Webhook.objects.filter(is_retired=False))
    rows = rows.filter(workflow_key=workflow.key)
    if workflow.tenant:
        rows = rows.filter(tenant=workflow.tenant)
    else:  # those of tenants that have a workflow of this id of their own start that one
        own = Workflow.objects.filter(key=workflow.key).exclude(tenant="")
        rows = rows.exclude(tenant__in=own.values("tenant"))
    facts = ((_("path"), admin.where), (_("signature"), Webhook.get_signature_display),
             (_("deliveries"), admin.log))  # fmt: skip
    return Section(
        label=_("Webhooks"),
        rows=[
            Starter(
                _linked(row, row.name, admin),
                admin.standing(row),
                _facts(row, facts),
                _call(request, row),
            )
            for row in rows.order_by("pk")[:MOST]
        ],
        hint=_("No webhook starts it. Make one:"),
        command=f"python manage.py spane_webhooks create {workflow.key}",
        add_url=_add_url(request, workflow, admin),
        all_url=list_of(Webhook, admin.site, workflow_key=workflow.key),
    )


def _call(request: HttpRequest, webhook: Webhook) -> SafeString | str:
    """Return a command that calls a webhook; "": its path is a secret to the user."""
    if not (webhook.is_signed or has_perm(request, "change_webhook")):
        return ""
    address = reverse("spane_django:inbound", args=[webhook.path])
    return command(curl(webhook, request.build_absolute_uri(address)))


def _events(request: HttpRequest, workflow: Workflow, admin: Any) -> Section:
    return Section(
        label=_("Events"),
        rows=_triggers(request, admin, workflow.triggers.filter(kind=Trigger.Kind.EVENT)),
        hint=_("No event starts it. Let one do it:"),
        command=f"python manage.py spane_triggers add order.paid {workflow.key}",
        add_url=_add_url(request, workflow, admin),
        all_url=f"{list_of(Trigger, admin.site)}?{urlencode({'q': workflow.key})}",
    )


def _ends(request: HttpRequest, workflow: Workflow, admin: Any) -> Section:
    declared = {"type": "workflow", "config": {"workflowId": "OTHER", "on": "completed"}}
    return Section(
        label=_("Ends of other workflows"),
        rows=_triggers(request, admin, workflow.triggers.filter(kind=Trigger.Kind.WORKFLOW)),
        hint=_("No end of a workflow starts it. Declare it in the definition:"),
        command=f'"triggers": [{encode(declared)}]',
    )


def _followers(request: HttpRequest, workflow: Workflow, admin: Any) -> Section:
    rows = Trigger.objects.heard_by(workflow.tenant) if workflow.tenant else Trigger.objects.all()
    rows = rows.filter(kind=Trigger.Kind.WORKFLOW, name=workflow.key)
    declared = {"type": "workflow", "config": {"workflowId": workflow.key, "on": "completed"}}
    return Section(
        label=_("Workflows that its end starts"),
        rows=_triggers(request, admin, rows, (_("starts"), admin.starts)),
        hint=_("Its end starts nothing. Declare it in the definition of the other one:"),
        command=f'"triggers": [{encode(declared)}]',
    )


def _triggers(request: HttpRequest, admin: Any, rows: Any, *more: Column) -> list[Starter]:
    facts = (
        *more, (_("if"), admin.condition), (_("said by"), admin.source),
        (_("last failure"), admin.trouble),
    )  # fmt: skip
    found = scope_in(request).within(rows.select_related("workflow").defer("map"))
    return [
        Starter(_linked(row, admin.what(row), admin), admin.standing(row), _facts(row, facts))
        for row in found.order_by("pk")[:MOST]
    ]


def _models(request: HttpRequest, workflow: Workflow, _admin: Any) -> Section:
    return Section(
        label=_("Models"),
        rows=[_model(one) for one in model_triggers() if one.workflow_id == workflow.key],
        hint=_("No model starts it. Declare it in a workflows.py of your project:"),
        command=f'ModelTrigger(Order, on="create", workflow="{workflow.key}")',
    )


def _model(trigger: ModelTrigger) -> Starter:
    fields = ", ".join(trigger.fields)
    when = "" if trigger.when is None else _spelled(trigger.when)
    facts = [(_("fields that change"), code(fields)), (_("if"), code(when))]
    said = [fact for fact, given in zip(facts, (fields, when), strict=True) if given]
    return Starter(
        name=format_html("{} {}", code(trigger.model._meta.label), _ONS[trigger.on]),
        facts=[*said, (_("said by"), _("the project's code"))],
    )


_ONS = {"create": _("is created"), "update": _("is updated"), "delete": _("is deleted")}


def _spelled(condition: object) -> str:
    return str(getattr(condition, "__qualname__", condition))


def _linked(row: Model, name: object, admin: Any) -> SafeString:
    return link(page_of(row, row.pk, admin.site), name)


def _facts(row: Any, columns: Iterable[Column]) -> list[tuple[Label, Any]]:
    shown = ((label, column(row)) for label, column in columns)
    return [(label, value) for label, value in shown if value not in (None, "")]


def _add_url(request: HttpRequest, workflow: Workflow, admin: Any) -> str:
    if not admin.may_make(request):
        return ""
    name = f"admin:spane_django_{admin.opts.model_name}_make"
    return f"{reverse(name, current_app=admin.site)}?{urlencode({'workflow': workflow.pk})}"
