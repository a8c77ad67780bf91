"""The executions about an object, on that object's own page in the admin of a project.

`WorkflowSubjectMixin` goes before ``ModelAdmin`` of any model that executions are about.  It shows
the last executions below the form, with what the user may do about them, and starts those
workflows that the project names.  It leans on the blocks that every admin theme has (``extrastyle``
and ``content``), and on whatever template the page has already.

Nothing is asked of the database but the executions and the workflows: two queries for a page, one
for the column of a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, Model, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseRedirect
from django.template.loader import select_template
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.errors import SpaneError
from ..core.json import Json
from ..engine.audit import record_start
from ..engine.db import atomic
from ..engine.start import StartOptions, start
from ..models import Approval, Execution, Workflow
from ..subjects import columns_of, type_of
from .base import has_perm, scope_in
from .execution_verbs import CANCEL, RETRY
from .present import chip, lately, length, link, list_of, page_of
from .verbs import VerbsAdmin

_TEMPLATE = "admin/spane_django/panel/change_form.html"
_STYLE = forms.Media(css={"all": ["spane_django/admin.css"]})


@dataclass(frozen=True)
class Line:
    """An execution in the panel, and the verbs that can be applied to it now."""

    execution: Any
    url: str
    chip: SafeString
    started: SafeString | None
    took: SafeString | None
    buttons: list[tuple[Any, str]]
    approval_url: str = ""


class WorkflowSubjectMixin:
    """Shows the executions about an object on its page, and its latest status in lists.

    Attributes:
        subject_workflows: The ids of workflows that can be started about an object.
        executions_shown: How many executions the panel has; all are behind a link.
    """

    subject_workflows: ClassVar[Sequence[str]] = ()
    executions_shown: ClassVar[int] = 5

    # What it is mixed into: a ``ModelAdmin``.
    model: type[Model]
    opts: Any
    admin_site: admin.AdminSite

    def workflow_input(self, obj: Any, workflow: str) -> Json:
        """Return the input with which a workflow starts: ``{"id": …}``, unless a project says."""
        return {"id": obj.pk if isinstance(obj.pk, int) else str(obj.pk)}

    def workflow_tenant(self, obj: Any) -> str:
        """Return the tenant that an object belongs to; "": none, or tenants are not kept apart."""
        return ""

    @property
    def media(self) -> forms.Media:
        own: forms.Media = super().media + _STYLE  # type: ignore[misc]  # of the ModelAdmin
        return own

    @admin.display(description=_("latest execution"))
    def latest_execution(self, obj: Any) -> SafeString | None:
        """Return the status of the latest execution: a column of ``list_display``."""
        found = getattr(obj, "spane_latest", None)
        if found is None:
            return None
        told = chip(found.status)
        is_open = self.admin_site.is_registered(Execution)
        return link(page_of(Execution, found.pk, self.admin_site.name), told) if is_open else told

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.start_view)
        own = path("<path:object_id>/executions/start/", view, name=self._start_name)
        return [own, *super().get_urls()]  # type: ignore[misc]

    def get_changelist(self, request: HttpRequest, **options: Any) -> type[Any]:
        base = super().get_changelist(request, **options)  # type: ignore[misc]
        return type("SubjectList", (_WithLatest, base), {})

    def render_change_form(self, request: HttpRequest, context: Any, **options: Any) -> Any:
        response = super().render_change_form(request, context, **options)  # type: ignore[misc]
        obj = options.get("obj")
        if obj is None or not has_perm(request, "view_execution"):
            return response
        names = response.template_name
        usual = select_template([names] if isinstance(names, str) else names)
        response.context_data |= {"spane_base": usual, "spane_panel": self._panel(request, obj)}
        response.template_name = _TEMPLATE
        return response

    def start_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Start a workflow about an object."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        obj = self.get_object(request, object_id)  # type: ignore[attr-defined]
        workflow = request.POST.get("workflow", "")
        if obj is None or workflow not in self.subject_workflows:
            raise Http404
        allowed = self.has_view_or_change_permission(request, obj)  # type: ignore[attr-defined]
        tenant = self.workflow_tenant(obj)
        if not (allowed and has_perm(request, "run_workflow") and scope_in(request).covers(tenant)):
            raise PermissionDenied
        self._start(request, obj, workflow, tenant)
        meta = self.opts
        name = f"admin:{meta.app_label}_{meta.model_name}_change"
        url = reverse(name, args=[object_id], current_app=self.admin_site.name)
        return HttpResponseRedirect(f"{url}#spane-executions")

    def _start(self, request: HttpRequest, obj: Any, workflow: str, tenant: str) -> None:
        subject_type, subject_id = columns_of(obj)
        user: Any = request.user
        options = StartOptions(
            by=user, tenant=tenant, subject_type=subject_type, subject_id=subject_id,
            idempotency_key=f"admin-panel-{request.POST.get('key') or uuid4()}"[:200],
        )  # fmt: skip
        now = current_time()
        try:
            with atomic():
                data = self.workflow_input(obj, workflow)
                execution = start(workflow, data, now=now, options=options)
                if execution.created_at == now:
                    record_start(workflow, [execution.pk], now=now, by=user, tenant=tenant)
        except SpaneError as error:
            self.message_user(request, str(error), messages.ERROR)  # type: ignore[attr-defined]
            return
        self.log_change(request, obj, f"start {workflow}: {execution.pk}")  # type: ignore[attr-defined]
        told = _("The execution was started.")
        self.message_user(request, told, messages.SUCCESS)  # type: ignore[attr-defined]

    def _panel(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        subject_type, subject_id = columns_of(obj)
        about = Execution.objects.filter(subject_type=subject_type, subject_id=subject_id)
        asked = Approval.objects.open().filter(execution=OuterRef("pk")).order_by("-pk")
        rows = scope_in(request).within(about).select_related("workflow", "version")
        rows = rows.annotate(spane_approval=Subquery(asked.values("pk")[:1])).order_by("-pk")
        rows = rows.defer("input", "version__definition", "workflow__description")
        found = list(rows[: self.executions_shown + 1])
        site = self.admin_site
        pages = site.get_model_admin(Execution) if site.is_registered(Execution) else None
        filters = {"subject_type": subject_type, "subject_id": subject_id}
        return {
            "lines": [self._line(request, row, pages) for row in found[: self.executions_shown]],
            "has_more": len(found) > self.executions_shown,
            "all_url": list_of(Execution, site.name, **filters) if pages else "",
            "startable": self._startable(request, obj),
            "start_url": reverse(f"admin:{self._start_name}", args=[obj.pk], current_app=site.name),
            "key": uuid4(),
            "back": f"{request.get_full_path()}#spane-executions",
        }

    def _line(self, request: HttpRequest, execution: Any, pages: Any) -> Line:
        end = execution.finished_at or current_time()
        started = execution.started_at
        site = self.admin_site.name
        return Line(
            execution=execution,
            url=page_of(Execution, execution.pk, site) if pages else "",
            chip=chip(execution.status),
            started=lately(started or execution.created_at),
            took=None if started is None else length(end - started),
            buttons=_buttons(request, execution, pages, site),
            approval_url=_approval_url(request, execution, self.admin_site),
        )

    def _startable(self, request: HttpRequest, obj: Any) -> list[tuple[str, str]]:
        """Return the workflows that the user may start about an object, by id and name."""
        tenant = self.workflow_tenant(obj)
        if not (self.subject_workflows and has_perm(request, "run_workflow")):
            return []
        if not scope_in(request).covers(tenant):
            return []
        own = Q(tenant__in={"", tenant})
        rows = Workflow.objects.filter(own, key__in=self.subject_workflows, is_enabled=True)
        names = dict(rows.exclude(current_version=None).values_list("key", "name"))
        return [(key, names[key]) for key in self.subject_workflows if key in names]

    @property
    def _start_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_spane_start"


class _WithLatest:
    """A list that reads the latest execution of each row of its page, all at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)  # type: ignore[misc]
        self.result_list: Any
        rows = list(self.result_list)
        self.result_list = rows
        if "latest_execution" in getattr(self, "list_display", ()) and rows:
            _give_latest(request, rows)


def _give_latest(request: HttpRequest, rows: list[Any]) -> None:
    if not has_perm(request, "view_execution"):
        return
    subject_type = type_of(type(rows[0]))
    about: QuerySet[Any] = Execution.objects.filter(subject_type=subject_type)
    about = scope_in(request).within(about)
    later = about.filter(subject_id=OuterRef("subject_id"), pk__gt=OuterRef("pk"))
    newest = about.filter(~Exists(later), subject_id__in=[str(row.pk) for row in rows])
    found = {one.subject_id: one for one in newest.only("pk", "status", "subject_id").order_by()}
    for row in rows:
        row.spane_latest = found.get(str(row.pk))


def _buttons(request: HttpRequest, execution: Any, pages: Any, site: str) -> list[tuple[Any, str]]:
    if not isinstance(pages, VerbsAdmin):
        return []
    return [
        (verb, reverse("admin:spane_django_execution_verb", args=[verb.name], current_app=site))
        for verb in (RETRY, CANCEL)
        if pages.may(request, verb) and verb.is_legal(execution)
    ]


def _approval_url(request: HttpRequest, execution: Any, site: admin.AdminSite) -> str:
    may = has_perm(request, "decide_approval") and has_perm(request, "view_approval")
    if execution.spane_approval is None or not may or not site.is_registered(Approval):
        return ""
    return page_of(Approval, execution.spane_approval, site.name)
