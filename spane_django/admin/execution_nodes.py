"""The nodes of an execution on its page: the graph, the node that is looked at, its verbs.

Which node that is stands in the address, so that it can be sent to somebody; if it names none, the
page opens at the first node that failed.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from ..clock import now as current_time
from ..core.errors import SpaneError
from ..core.statuses import NodeStatus
from ..models import Execution, NodeRun
from .base import has_perm
from .bulk import BulkAdmin
from .inspector import inspector_of
from .node_verbs import NODE_VERBS, NodeVerb, ReasonForm
from .picture import picture_of
from .present import chip, list_of, page_of, query
from .verbs import Order

_VERB_URL = "spane_django_execution_node"


class NodesAdmin(BulkAdmin):
    """The page of an execution, as far as its nodes go."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.node_verb_view)
        return [path("<uuid:pk>/nodes/<slug:name>/", view, name=_VERB_URL), *super().get_urls()]

    def nodes(self, request: HttpRequest, execution: Execution) -> dict[str, Any]:
        """Return the graph, and the node that is looked at, for the page."""
        found = execution.node_runs.only("node_id", "status", "execution_id").order_by("id")
        runs = list(found)
        failed = (run.node_id for run in runs if run.status == NodeStatus.FAILED)
        selected = request.GET.get("node") or next(failed, "")
        opened = request.GET.getlist("open")
        return {
            "picture": picture_of(
                execution.version,
                runs=runs,
                url_of=lambda node: f"{query(request, node=node)}#spane-node",
                group_url_of=lambda node: query(request, open=[*opened, node]),
                opened=opened,
                draws_all="draw" in request.GET,
            ),
            "draw_url": query(request, draw="all"),
            "selected": selected,
            "node": self._inspected(request, execution, selected),
            "children_url": list_of(Execution, self.site, parent=str(execution.pk)),
        }

    def node_verb_view(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Show the form of a verb for one node, or carry it out."""
        verb, run = self._verb_and_run(request, pk, name)
        form = verb.form(run, request.POST if request.method == "POST" else None)
        back = f"{page_of(Execution, pk, self.site)}{query(request, node=run.node_id)}"
        if form.is_valid() and self._carry_out(request, verb, run, form):
            return HttpResponseRedirect(back)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + form.media,
            "title": verb.label,
            "original": run.execution,
            "verb": verb,
            "run": run,
            "chip": chip(run.status),
            "form": form,
            "back": back,
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/execution/node_verb.html", context)

    def _inspected(self, request: HttpRequest, execution: Execution, node_id: str) -> Any:
        if not node_id:
            return None
        return inspector_of(
            execution,
            node_id,
            request,
            url_of=lambda name: reverse(
                f"admin:{_VERB_URL}", args=[execution.pk, name], current_app=self.site
            ),
            now=current_time(),
        )

    def _verb_and_run(self, request: HttpRequest, pk: UUID, name: str) -> tuple[NodeVerb, NodeRun]:
        execution = self.get_object(request, str(pk))
        verb = next((verb for verb in NODE_VERBS if verb.name == name), None)
        if execution is None or verb is None:
            raise Http404
        may_act = self.has_view_permission(request, execution)
        may_act &= has_perm(request, verb.permission)
        if not may_act or (verb.shows_data and not self.has_payload_permission(request)):
            raise PermissionDenied
        run = execution.node_runs.filter(node_id=request.GET.get("node", "")).first()
        if run is None:
            raise Http404
        run.execution = execution
        return verb, run

    def _carry_out(
        self, request: HttpRequest, verb: NodeVerb, run: NodeRun, form: ReasonForm
    ) -> bool:
        """Carry out a verb; say whether it was."""
        given = form.cleaned_data
        order = Order(by=request.user, now=current_time(), reason=given["reason"])
        try:
            verb.apply(run, given, order)
        except SpaneError as error:
            form.add_error(None, str(error))
            return False
        told = f"{verb.name} {run.node_id}: {given['reason']}".rstrip(": ")
        self.log_change(request, run.execution, told)
        self.message_user(request, f"{verb.label}: {run.node_id}", messages.SUCCESS)
        return True
