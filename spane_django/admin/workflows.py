"""Workflows and their versions: what runs, which version of it, and how it has been going.

Here are the two lists, the graph of a workflow and the page of a version.  What is beside the
graph is in `workflow_tabs` and `versions`; a workflow is started in `starting`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..authoring.transfer import Form, written
from ..clock import now as current_time
from ..core.diff import Diff, nodes_in
from ..core.histogram import added, quantile
from ..core.json import Json
from ..core.statuses import ExecutionStatus
from ..engine import enable as enabling
from ..engine.scope import Scope
from ..models import Execution, Rollup, Workflow, WorkflowVersion
from ..observability.rollups import history, totals
from .base import ReadOnlyAdmin, Rows, scope_in
from .diff_picture import picture_between
from .filters import FailedFilter, WorkflowFilter
from .picture import Picture, picture_of
from .present import (
    chip,
    code,
    drawn_spark,
    instant,
    length,
    link,
    list_of,
    page_of,
    pretty,
    query,
)
from .verbs import AT_ONCE, Order, Verb
from .versions import VersionsAdmin, diff_url, stage_of

_DAY = timedelta(hours=24)
_ENDS = ("completed", "failed", "cancelled")
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
    permission="publish_workflow",
    apply=_enable,
    is_legal=_is_disabled,
)
DISABLE = Verb(
    name="disable",
    label=_("Disable"),
    done=ngettext_lazy(
        "%(count)d workflow was disabled.", "%(count)d workflows were disabled.", "count"
    ),
    permission="publish_workflow",
    apply=_disable,
    is_legal=_is_enabled,
)


@admin.register(Workflow)
class WorkflowAdmin(VersionsAdmin):
    """Workflows: see, start, enable and disable them; definitions are published."""

    change_form_template = "admin/spane_django/workflow/graph.html"

    list_display = ("identity", "standing", "current", "sparkline", "lately", "slowest")
    list_filter = ("is_enabled", FailedFilter)
    list_select_related = ("current_version",)
    list_defer = ("description", "current_version__definition")
    search_fields = ("key", "name")
    sortable_by = ("identity",)
    verbs = (ENABLE, DISABLE)
    fields = ("description", "created", "lately", "all_executions")
    empty_hint = _("No workflow has been published yet. Publish a definition:")
    empty_command = "python manage.py spane_publish workflow.json"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [
            path("<int:pk>/export/", view, name="spane_django_workflow_export"),
            *super().get_urls(),
        ]

    def prepare(self, rows: list[Any], scope: Scope) -> None:
        now = current_time()
        active = scope.within(Execution.objects.top_level().unfinished()).filter(workflow__in=rows)
        counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for pk, status, count in (
            active.order_by().values_list("workflow", "status").annotate(Count("pk"))
        ):
            counts[pk][status] = count
        past: dict[int, list[Rollup]] = defaultdict(list)
        for told in history(since=now - _DAY, now=now, scope=scope, workflows=rows):
            past[told.workflow_id].append(told)
        for row in rows:
            ended = totals(past[row.pk])
            row.status_counts = {
                **counts[row.pk],
                **{key: ended[key] for key in _ENDS if ended[key]},
            }
            row.past, row.past_until = past[row.pk], now

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        self.prepare([obj], scope_in(request))
        return {
            **self.frame(request, obj, "graph"),
            "definition": _definition(obj.current_version),
            **_picture(request, obj.current_version),
        }

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions = super().get_actions(request)
        if self.has_view_permission(request):
            actions["export_selected"] = (_export, "export_selected", _("Export as JSON"))
        return actions

    def export_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Answer with the current definition as a file."""
        return exported([self.workflow_for(request, pk)])

    @admin.display(description=_("status"))
    def standing(self, workflow: Workflow) -> SafeString:
        if workflow.is_enabled:
            return chip("completed", _("enabled"))
        return chip("paused", _("disabled"))

    @admin.display(description=_("version"))
    def current(self, workflow: Workflow) -> SafeString | None:
        version = workflow.current_version
        if version is None:
            return None
        return link(page_of(version, version.pk, self.site), f"v{version.number}")

    @admin.display(description=_("created"))
    def created(self, workflow: Workflow) -> SafeString | None:
        return instant(workflow.created_at)

    @admin.display(description=_("ended, running"))
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
            if workflow.status_counts.get(status)
        ]
        return format_html_join(" ", '<a href="{}">{}</a>', parts) or None

    @admin.display(description=_("workflow"), ordering="key")
    def identity(self, workflow: Workflow) -> SafeString:
        return format_html("<bdi>{}</bdi><br><small>{}</small>", workflow.key, workflow.name)

    @admin.display(description=_("24 hours"))
    def sparkline(self, workflow: Any) -> SafeString | None:
        hours = [0] * 24
        for told in workflow.past:
            ago = int((workflow.past_until - told.at) / timedelta(hours=1))
            hours[23 - min(max(ago, 0), 23)] += told.completed + told.failed
        return drawn_spark(hours) if any(hours) else None

    @admin.display(description=_("p95"))
    def slowest(self, workflow: Any) -> SafeString | None:
        return length(quantile(added(told.durations for told in workflow.past), 0.95))

    @admin.display(description=_("executions"))
    def all_executions(self, workflow: Workflow) -> SafeString:
        return link(list_of(Execution, self.site, workflow__id__exact=workflow.pk), _("Show all"))


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
        return {
            "title": str(obj),
            "subtitle": None,
            "chip": stage_of(obj),
            "workflow_url": page_of(Workflow, obj.workflow_id, self.site),
            "diffs": self._diffs(obj),
            "definition": _definition(obj),
            **_picture(request, obj),
        }

    def _diffs(self, version: WorkflowVersion) -> list[tuple[Any, str]]:
        """Return addresses of differences: from the version before, and from or to the current."""
        if version.part:
            return []
        current = version.workflow.current_version
        others = version.workflow.versions.whole().filter(number__lt=version.number)
        before = others.order_by("-number").values_list("number", flat=True).first()
        pk, number = version.workflow_id, version.number
        pairs = [(_("What it changed"), before, number)] if before else []
        if current and current.number != number:
            pairs.append((_("Differences to the current version"), number, current.number))
        return [(label, diff_url(pk, self.site, one, other)) for label, one, other in pairs]

    @admin.display(description=_("version"))
    def identity(self, version: WorkflowVersion) -> SafeString:
        return code(str(version))

    @admin.display(description=_("workflow"))
    def of_workflow(self, version: WorkflowVersion) -> SafeString:
        return link(page_of(Workflow, version.workflow_id, self.site), version.workflow.name)

    @admin.display(description=_("status"))
    def stage(self, version: WorkflowVersion) -> SafeString:
        return stage_of(version)

    @admin.display(description=_("published"))
    def published(self, version: WorkflowVersion) -> SafeString | None:
        return instant(version.published_at)


def _picture(request: HttpRequest, version: WorkflowVersion | None) -> dict[str, Any]:
    """Return the picture of a version and the node that is looked at, for a page."""
    if version is None:
        return {}
    selected, opened = request.GET.get("node", ""), request.GET.getlist("open")
    chosen = nodes_in(version.definition).get(selected)
    asked: Any = {
        "url_of": lambda node: f"{query(request, node=node)}#spane-node",
        "group_url_of": lambda node: query(request, open=[*opened, node]),
        "opened": opened,
        "draws_all": "draw" in request.GET,
    }
    return {
        "picture": _drawn_draft(version, asked)
        if _is_draft(version)
        else picture_of(version, **asked),
        "draw_url": query(request, draw="all"),
        "selected": selected,
        "node_definition": chosen and pretty(chosen),
    }


def _is_draft(version: WorkflowVersion) -> bool:
    return version.status == WorkflowVersion.Status.DRAFT


def _drawn_draft(version: WorkflowVersion, asked: Any) -> Picture:
    """Return the picture of a draft, which may be anything that is JSON."""
    return picture_between(version.definition, version.definition, Diff(), **asked).picture


def exported(workflows: Iterable[Workflow]) -> HttpResponse:
    """Return current definitions as a file: one as it is, several as a list."""
    found = [one.current_version.definition for one in workflows if one.current_version]
    document: Json = found[0] if len(found) == 1 else found
    name = f"{document['id']}.json" if isinstance(document, dict) else "workflows.json"
    response = HttpResponse(written(document, Form.JSON), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _export(own: WorkflowAdmin, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
    return exported(queryset.select_related("current_version").order_by("key")[:AT_ONCE])


def _definition(version: WorkflowVersion | None) -> SafeString | None:
    if version is None:
        return None
    return pretty(version.definition, limit=DEFINITION_CHARACTERS)
