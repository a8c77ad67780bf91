"""Workflows and their versions: what runs, which version of it, and how it has been going."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..clock import now as current_time
from ..core.definition import Definition
from ..core.errors import InvalidInput, SpaneError
from ..core.ids import first_id
from ..core.statuses import ExecutionStatus
from ..engine import enable as enabling
from ..engine.scope import Scope
from ..engine.start import StartOptions, start
from ..models import Execution, Workflow, WorkflowVersion
from .base import ReadOnlyAdmin, Rows, has_perm, scope_in
from .filters import WorkflowFilter
from .forms import JsonForm
from .picture import picture_of
from .present import chip, code, instant, link, list_of, page_of, pretty, query
from .schema_forms import SchemaForm, has_fields
from .verbs import Order, Verb, VerbsAdmin

_DAY = timedelta(hours=24)
_VERSIONS = 20
DEFINITION_CHARACTERS = 100_000


def _enable(pk: int, order: Order) -> None:
    key, tenant = _named(pk)
    enabling.enable(key, now=order.now, by=order.by, reason=order.reason, tenant=tenant)


def _disable(pk: int, order: Order) -> None:
    key, tenant = _named(pk)
    enabling.disable(key, now=order.now, by=order.by, reason=order.reason, tenant=tenant)


def _named(pk: int) -> tuple[str, str]:
    return Workflow.objects.filter(pk=pk).values_list("key", "tenant").first() or ("", "")


def _is_enabled(workflow: Workflow) -> bool:
    return workflow.is_enabled


def _is_disabled(workflow: Workflow) -> bool:
    return not workflow.is_enabled


ENABLE = Verb(
    name="enable",
    label=_("Enable"),
    done=ngettext_lazy(
        "%(count)d workflow was enabled.", "%(count)d workflows were enabled.", "count"
    ),
    permission="publish",
    apply=_enable,
    is_legal=_is_disabled,
)
DISABLE = Verb(
    name="disable",
    label=_("Disable"),
    done=ngettext_lazy(
        "%(count)d workflow was disabled.", "%(count)d workflows were disabled.", "count"
    ),
    permission="publish",
    apply=_disable,
    is_legal=_is_enabled,
)


class StartForm(forms.Form):
    """A key by which a second click starts nothing more."""

    key = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)

    def __init__(self, *args: Any, tenants: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["tenant"] = forms.ChoiceField(
            label=_("Tenant"),
            choices=[(tenant, tenant) for tenant in tenants],
            initial=tenants[0],
            required=bool(tenants[0]),
            widget=forms.Select if len(tenants) > 1 else forms.HiddenInput,
        )


@admin.register(Workflow)
class WorkflowAdmin(VerbsAdmin):
    """Workflows: see, start, enable and disable them; definitions are published."""

    list_display = ("key", "name", "standing", "current", "lately")
    list_filter = ("is_enabled",)
    list_select_related = ("current_version",)
    list_defer = ("description", "current_version__definition")
    search_fields = ("key", "name")
    sortable_by = ("key", "name")
    actions = ("enable_selected", "disable_selected")
    verbs = (ENABLE, DISABLE)
    fields = ("key", "current", "description", "created", "lately", "all_executions")
    empty_hint = _("No workflow has been published yet. Publish a definition:")
    empty_command = "python manage.py spane_publish workflow.json"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.start_view)
        return [
            path("<int:pk>/start/", view, name="spane_django_workflow_start"),
            *super().get_urls(),
        ]

    def prepare(self, rows: list[Any], scope: Scope) -> None:
        counted = (
            scope.within(Execution.objects.top_level())
            .filter(workflow__in=rows, pk__gte=first_id(current_time() - _DAY))
            .order_by()
            .values_list("workflow", "status")
            .annotate(Count("pk"))
        )
        counts: dict[int, dict[str, int]] = defaultdict(dict)
        for pk, status, count in counted:
            counts[pk][status] = count
        for row in rows:
            row.status_counts = counts[row.pk]

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        self.prepare([obj], scope_in(request))
        versions = obj.versions.whole().order_by("-number").defer("definition")
        return {
            **super().page(request, obj),
            "may_start": self.has_run_permission(request),
            "versions": [
                (version, _stage(version), instant(version.published_at))
                for version in versions.select_related("published_by")[:_VERSIONS]
            ],
            "versions_url": list_of(WorkflowVersion, self.site, workflow__id__exact=obj.pk),
            "definition": _definition(obj.current_version),
            **_picture(request, obj.current_version),
        }

    def start_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the form that starts a workflow, or start it."""
        workflow = self.get_object(request, str(pk))
        if workflow is None:
            raise Http404
        if not (self.has_view_permission(request, workflow) and self.has_run_permission(request)):
            raise PermissionDenied
        tenants = self._tenants(request, workflow)
        posted = request.POST if request.method == "POST" else None
        schema = self._input_schema(workflow)
        in_json = not has_fields(schema) or "json" in request.GET
        form = StartForm(posted, tenants=tenants)
        given = JsonForm(posted) if in_json else SchemaForm(schema or {}, posted, user=request.user)
        is_filled_in = form.is_valid() and given.is_valid()
        started = self._start(request, workflow, form, given) if is_filled_in else None
        if started is not None:
            self.log_change(request, workflow, f"start: {started.pk}")
            self.message_user(request, _("The execution was started."), messages.SUCCESS)
            return HttpResponseRedirect(page_of(Execution, started.pk, self.site))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + given.media,
            "title": _("Start %s") % workflow.name,
            "original": workflow,
            "form": form,
            "given": given,
            "in_json": in_json,
            "has_fields": has_fields(schema),
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/workflow/start.html", context)

    def _tenants(self, request: HttpRequest, workflow: Workflow) -> list[str]:
        """Return for which tenants the user may start a workflow; "": for none."""
        tenants = scope_in(request).tenants
        if workflow.tenant or tenants is None:
            return [workflow.tenant]
        if not tenants:
            raise PermissionDenied
        return sorted(tenants)

    def _input_schema(self, workflow: Workflow) -> dict[str, Any] | None:
        version = workflow.current_version
        return Definition(version.definition).input_schema if version else None

    def _start(
        self,
        request: HttpRequest,
        workflow: Workflow,
        form: StartForm,
        given: JsonForm | SchemaForm,
    ) -> Execution | None:
        try:
            options = StartOptions(
                idempotency_key=f"admin-form-{form.cleaned_data['key']}",
                tenant=form.cleaned_data["tenant"],
                by=request.user,  # type: ignore[arg-type]  # never anonymous
            )
            return start(workflow.key, given.value(), now=current_time(), options=options)
        except InvalidInput as error:
            given.tell(error.faults, "initialData")
        except SpaneError as error:
            given.add_error(None, str(error))
        return None

    @admin.display(description=_("status"))
    def standing(self, workflow: Workflow) -> SafeString:
        if workflow.is_enabled:
            return chip("completed", _("enabled"))
        return chip("paused", _("disabled"))

    @admin.display(description=_("current version"))
    def current(self, workflow: Workflow) -> SafeString | None:
        version = workflow.current_version
        if version is None:
            return None
        return link(page_of(version, version.pk, self.site), f"v{version.number}")

    @admin.display(description=_("created"))
    def created(self, workflow: Workflow) -> SafeString | None:
        return instant(workflow.created_at)

    @admin.display(description=_("executions in 24 hours"))
    def lately(self, workflow: Any) -> SafeString | None:
        parts = [
            (
                list_of(
                    Execution,
                    self.site,
                    workflow__id__exact=workflow.pk,
                    status__exact=status.value,
                    created="24h",
                ),
                chip(status, count=workflow.status_counts[status]),
            )
            for status in ExecutionStatus
            if status in workflow.status_counts
        ]
        return format_html_join(" ", '<a href="{}">{}</a>', parts) or None

    @admin.display(description=_("executions"))
    def all_executions(self, workflow: Workflow) -> SafeString:
        return link(list_of(Execution, self.site, workflow__id__exact=workflow.pk), _("Show all"))

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return has_perm(request, "publish_workflow")

    def has_run_permission(self, request: HttpRequest) -> bool:
        return has_perm(request, "run_workflow")

    @admin.action(description=_("Enable"), permissions=["publish"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self.act(ENABLE, request, queryset)

    @admin.action(description=_("Disable"), permissions=["publish"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self.act(DISABLE, request, queryset)


class WholeVersions(Rows):
    """The list of versions without their parts, whose pages executions lead to."""

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str | None] | None = None
    ) -> QuerySet[Any]:
        return super().get_queryset(request, exclude_parameters).filter(part="")


@admin.register(WorkflowVersion)
class WorkflowVersionAdmin(ReadOnlyAdmin):
    """Versions as they were published, drafts and archived ones included."""

    list_display = ("identity", "of_workflow", "number", "stage", "published", "published_by")
    list_filter = (("workflow", WorkflowFilter), "status")
    list_select_related = ("workflow", "published_by")
    list_defer = ("definition", "workflow__description")
    ordering = ("-id",)
    fields = ("of_workflow", "number", "stage", "published", "published_by", "content_hash")
    empty_hint = WorkflowAdmin.empty_hint
    empty_command = WorkflowAdmin.empty_command

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WholeVersions

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        return {"definition": _definition(obj), **_picture(request, obj)}

    @admin.display(description=_("version"))
    def identity(self, version: WorkflowVersion) -> SafeString:
        return code(str(version))

    @admin.display(description=_("workflow"))
    def of_workflow(self, version: WorkflowVersion) -> SafeString:
        return link(page_of(Workflow, version.workflow_id, self.site), version.workflow.name)

    @admin.display(description=_("status"))
    def stage(self, version: WorkflowVersion) -> SafeString:
        return _stage(version)

    @admin.display(description=_("published"))
    def published(self, version: WorkflowVersion) -> SafeString | None:
        return instant(version.published_at)


def _picture(request: HttpRequest, version: WorkflowVersion | None) -> dict[str, Any]:
    """Return the picture of a version and the node that is looked at, for a page."""
    if version is None:
        return {}
    selected, opened = request.GET.get("node", ""), request.GET.getlist("open")
    nodes = {node["id"]: node for node in version.definition["nodes"]}
    chosen = nodes.get(selected)
    return {
        "picture": picture_of(
            version,
            url_of=lambda node: f"{query(request, node=node)}#spane-node",
            group_url_of=lambda node: query(request, open=[*opened, node]),
            opened=opened,
            draws_all="draw" in request.GET,
        ),
        "draw_url": query(request, draw="all"),
        "selected": selected,
        "node_definition": chosen and pretty(chosen),
    }


def _stage(version: WorkflowVersion) -> SafeString:
    return chip(_COLOURS[version.status], version.get_status_display())


# The stages of a version in the colours of executions.
_COLOURS: dict[str, str] = {
    WorkflowVersion.Status.DRAFT: "pending",
    WorkflowVersion.Status.PUBLISHED: "completed",
    WorkflowVersion.Status.ARCHIVED: "skipped",
}


def _definition(version: WorkflowVersion | None) -> SafeString | None:
    if version is None:
        return None
    return pretty(version.definition, limit=DEFINITION_CHARACTERS)
