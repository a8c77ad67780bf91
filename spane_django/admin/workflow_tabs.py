"""The pages of a workflow as tabs, each with an address of its own, and what they have in common.

Every tab begins with the same head: the workflow's id, its version, whether it is enabled, and the
buttons for what the user may do.  A tab whose rows the user may not see is not offered, and does
not answer.  The graph is the page of the row itself; the others are `TabbedAdmin`'s and, for
versions, `versions.VersionsAdmin`'s.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..models import Execution, Workflow
from .base import has_perm, scope_in
from .present import list_of, page_of
from .starting import StartingAdmin
from .workflow_executions import recent
from .workflow_settings import node_rows, setting_rows
from .workflow_triggers import sections_of

TABS = (
    ("graph", _("Graph"), ""),
    ("versions", _("Versions"), ""),
    ("executions", _("Executions"), "view_execution"),
    ("triggers", _("Triggers"), ""),
    ("settings", _("Settings"), ""),
)
"""Name, label, and what it takes to see it beside the workflow itself."""


class TabbedAdmin(StartingAdmin):
    """The page of a workflow, with more pages beside it."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        pages = (
            ("executions", self.executions_view),
            ("triggers", self.triggers_view),
            ("settings", self.settings_view),
        )
        own = [path(f"<int:pk>/{name}/", wrap(view), name=_url_name(name)) for name, view in pages]
        return [*own, *super().get_urls()]

    def executions_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the latest executions, with where those failed that did."""
        workflow = self.workflow_for(request, pk, "view_execution")
        self.prepare([workflow], scope_in(request))
        context = {
            "rows": recent(workflow, scope_in(request), self.site),
            "all_url": list_of(Execution, self.site, workflow__id__exact=workflow.pk),
            "failed_url": list_of(
                Execution, self.site, workflow__id__exact=workflow.pk, status__exact="failed"
            ),
        }
        return self.tab(request, workflow, "executions", context)

    def triggers_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what starts the workflow by itself, and what its end starts."""
        workflow = self.workflow_for(request, pk)
        context = {"sections": sections_of(request, workflow, self.admin_site)}
        return self.tab(request, workflow, "triggers", context)

    def settings_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show what the definition says beside its nodes, in words, and switch the workflow."""
        workflow = self.workflow_for(request, pk)
        version = workflow.current_version
        context = {
            "settings": setting_rows(version, self.site) if version else [],
            "node_settings": node_rows(version) if version else [],
        }
        return self.tab(request, workflow, "settings", context)

    def workflow_for(self, request: HttpRequest, pk: int, permission: str = "") -> Any:
        """Return the workflow of a page, or refuse."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("current_version")
        workflow = rows.filter(pk=pk).first()
        if workflow is None:
            raise Http404
        if permission and not has_perm(request, permission):
            raise PermissionDenied
        return workflow

    def may_publish(self, request: HttpRequest, workflow: Workflow) -> bool:
        """Say whether the user may change which version is the current one."""
        return has_perm(request, "publish_workflow") and scope_in(request).covers(workflow.tenant)

    def frame(self, request: HttpRequest, workflow: Any, tab: str) -> dict[str, Any]:
        """Return what every tab shows: the head, the buttons and the other tabs."""
        shared = super().page(request, workflow)
        may_change = scope_in(request).covers(workflow.tenant)
        buttons = [one for one in shared["buttons"] if may_change and one.is_legal]
        return {
            **shared,
            "buttons": buttons,
            "title": workflow.name,
            "subtitle": next(label for name, label, _permission in TABS if name == tab),
            "tab": tab,
            "tabs": [
                (label, self.tab_url(name, workflow.pk), name == tab)
                for name, label, permission in TABS
                if not permission or has_perm(request, permission)
            ],
            "may_start": workflow.current_version_id and self.has_run_permission(request),
            "may_publish": self.may_publish(request, workflow),
            "version_link": self.current(workflow),
        }

    def tab(
        self, request: HttpRequest, workflow: Any, name: str, context: dict[str, Any], **more: Any
    ) -> HttpResponse:
        """Return the page of a tab.

        Args:
            more: ``template``, where the page is not the tab itself but a step further, and
                ``crumb``, what it is called then.
        """
        template = more.pop("template", name)
        request.current_app = self.site
        return TemplateResponse(
            request,
            f"admin/spane_django/workflow/{template}.html",
            {
                **self.admin_site.each_context(request),
                "opts": self.opts,
                "media": self.media,
                "original": workflow,
                "has_view_permission": True,
                "change": True,
                **self.frame(request, workflow, name),
                "tab_url": self.tab_url(name, workflow.pk),
                **more,
                **context,
            },
        )

    def tab_url(self, name: str, pk: object) -> str:
        """Return the address of a tab."""
        if name == "graph":
            return page_of(Workflow, pk, self.site)
        return reverse(f"admin:{_url_name(name)}", args=[pk], current_app=self.site)

    def current(self, workflow: Workflow) -> SafeString | None:
        """Return the current version of a workflow, as a link."""
        raise NotImplementedError


def _url_name(name: str) -> str:
    return f"spane_django_workflow_{name}"
