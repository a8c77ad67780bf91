"""Running an execution again: from where, in which version, with which input, and what follows.

Where it begins and in which version stand in the address, so that the page shows exactly what it
would do before anything is asked for: which nodes run again, which keep what they came to.  If
that is another thing by the time that somebody confirms it, the page asks once more.

The form holds the input as it was, for those who may see it.  What is left as it was is not given
at all; so what cannot be shown in full, or stands for a hidden value, is never written back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.errors import InvalidInput, SpaneError
from ..core.statuses import NodeStatus
from ..engine import retry
from ..engine.preview import Fate, Preview, preview_replay, preview_rerun
from ..engine.rerun import UNCHANGED, From, In, Rerun, rerun_from
from ..models import Execution, NodeRun, WorkflowVersion
from .base import has_perm
from .execution_nodes import NodesAdmin
from .forms import reason_field
from .picture import Picture, picture_of
from .present import chip, page_of, query
from .replay_input import InputForm, input_for

_REPLAY_URL = "spane_django_execution_replay"
_NODE = "node:"
_NAMES = 30

# Each fate looks like the status that comes nearest.
_LOOKS: dict[Fate, tuple[NodeStatus, str | Promise]] = {
    Fate.AGAIN: (NodeStatus.READY, _("to run again")),
    Fate.AHEAD: (NodeStatus.PENDING, _("may run")),
    Fate.KEPT: (NodeStatus.COMPLETED, _("kept")),
    Fate.GOES_ON: (NodeStatus.RUNNING, _("going on")),
    Fate.STAYS: (NodeStatus.SKIPPED, _("not run")),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a run of an execution begins, and in which version."""

    execution: Execution
    start: From
    node_id: str | None
    version: In

    @property
    def text(self) -> str:
        """The beginning as it stands in the address."""
        return f"{_NODE}{self.node_id}" if self.node_id is not None else self.start.value

    @property
    def permission(self) -> str:
        return "replay_execution" if self.start is From.START else "retry_execution"

    def preview(self) -> tuple[Preview | None, str]:
        """Return what would happen, or why nothing can."""
        try:
            if self.start is From.START:
                return preview_replay(self.execution.pk, self.version), ""
            rerun = self.rerun(UNCHANGED)
            return preview_rerun(self.execution.pk, rerun, now=current_time()), ""
        except SpaneError as error:
            return None, str(error)

    def rerun(self, data: Any) -> Rerun:
        return Rerun(start=self.start, node_id=self.node_id, version=self.version, input=data)


def replay_url(request: HttpRequest, site: str, pk: UUID, node_id: str = "") -> str:
    """Return the address of the page on which an execution is run again; empty: the user may not.

    Args:
        site: The name of the admin site.
        node_id: Where it begins; empty: that is chosen on the page.
    """
    names = ["retry_execution"] if node_id else ["replay_execution", "retry_execution"]
    if not any(has_perm(request, name) for name in names):
        return ""
    url = reverse(f"admin:{_REPLAY_URL}", args=[pk], current_app=site)
    return f"{url}?{urlencode({'from': f'{_NODE}{node_id}'})}" if node_id else url


class ConfirmForm(forms.Form):
    """Why, and what was shown when it was asked for."""

    reason = reason_field()
    mark = forms.CharField(widget=forms.HiddenInput, required=False)
    key = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)


class ReplayAdmin(NodesAdmin):
    """The page on which an execution is run again."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.replay_view)
        return [path("<uuid:pk>/replay/", view, name=_REPLAY_URL), *super().get_urls()]

    def replay_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show what would run again, or run it."""
        execution = self.get_object(request, str(pk))
        if execution is None:
            raise Http404
        if not self.has_view_permission(request, execution):
            raise PermissionDenied
        runs = list(execution.node_runs.only("node_id", "status", "execution_id").order_by("id"))
        offered = _offered(request, runs)
        choice = _choice(request, execution, offered)
        preview, refusal = choice.preview()
        given = self._input(request, choice, preview)
        form = ConfirmForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and preview is not None and given.is_valid():
            went_to = self._replay(request, choice, preview, form, given)
            if went_to is not None:
                return HttpResponseRedirect(page_of(Execution, went_to, self.site))
        context = {
            "original": execution,
            "title": _("Replay"),
            "back": page_of(Execution, pk, self.site),
            "choice": choice,
            "offered": offered,
            "versions": _versions(execution),
            "refusal": refusal,
            "preview": preview,
            "fates": [] if preview is None else _fates(preview),
            "picture": None if preview is None else _picture(request, preview, offered),
            "form": form,
            "mark": "" if preview is None else preview.mark,
            "given": given,
        }
        return self._answer(request, context)

    def _answer(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.site
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media + context["given"].media,
            **context,
        }
        return TemplateResponse(request, "admin/spane_django/execution/replay.html", whole)

    def _input(self, request: HttpRequest, choice: Choice, preview: Preview | None) -> InputForm:
        execution = choice.execution
        return input_for(
            execution,
            node_id=choice.node_id,
            version_id=execution.version_id if preview is None else preview.version_id,
            request=request,
            is_taken=choice.start is not From.FAILED,
            may_see=self.has_payload_permission(request),
        )

    def _replay(
        self,
        request: HttpRequest,
        choice: Choice,
        preview: Preview,
        form: ConfirmForm,
        given: InputForm,
    ) -> UUID | None:
        """Run it; return the execution to go on with, None if it was refused."""
        if form.cleaned_data["mark"] != preview.mark:
            form.add_error(None, _("Something else would happen by now: look at it once more."))
            return None
        try:
            went_to = _run(request, choice, form.cleaned_data, given.value())
        except InvalidInput as error:
            given.tell(error.faults)
            return None
        except SpaneError as error:
            form.add_error(None, str(error))
            return None
        told = f"replay from {choice.text} in {choice.version}: {form.cleaned_data['reason']}"
        self.log_change(request, choice.execution, told.rstrip(": "))
        said = _("A new execution was started.") if preview.is_new else _("It runs again.")
        self.message_user(request, said, messages.SUCCESS)
        return went_to


def _run(request: HttpRequest, choice: Choice, asked: dict[str, Any], data: Any) -> UUID:
    pk = choice.execution.pk
    who: dict[str, Any] = {"now": current_time(), "by": request.user, "reason": asked["reason"]}
    if choice.start is From.START:
        key = f"admin-form-{asked['key']}"
        version = choice.version
        return retry.replay(pk, idempotency_key=key, input=data, version=version, **who).pk
    return rerun_from(pk, choice.rerun(data), **who).pk


def _offered(request: HttpRequest, runs: list[NodeRun]) -> dict[str, str | Promise]:
    """Return where a run may begin, as it stands in the address and in words."""
    offered: dict[str, str | Promise] = {}
    if has_perm(request, "replay_execution"):
        offered[From.START] = _("the start, in a new execution")
    if has_perm(request, "retry_execution"):
        if any(run.status == NodeStatus.FAILED for run in runs):
            offered[From.FAILED] = _("what failed")
        offered |= {f"{_NODE}{run.node_id}": run.node_id for run in runs if run.status in _HAS_RUN}
    return offered


_HAS_RUN = (NodeStatus.COMPLETED, NodeStatus.FAILED)


def _choice(
    request: HttpRequest, execution: Execution, offered: dict[str, str | Promise]
) -> Choice:
    """Return what the address asks for."""
    start = request.GET.get("from") or next(iter(offered), "")
    node_id = start.removeprefix(_NODE) if start.startswith(_NODE) else None
    known = {*From} - {From.NODE}
    if node_id is None and start not in known and start:
        raise Http404
    wanted = In.LATEST if request.GET.get("version") == In.LATEST else In.SAME
    begin = From.NODE if node_id is not None else From(start or From.START)
    choice = Choice(execution, begin, node_id, wanted)
    if not has_perm(request, choice.permission):
        raise PermissionDenied
    return choice


def _versions(execution: Execution) -> list[tuple[str, str]]:
    same, latest = execution.version, execution.workflow.current_version
    told = [(In.SAME.value, _("the same, v%d") % same.number)]
    if latest is not None and not same.part:
        told.append((In.LATEST.value, _("the current one, v%d") % latest.number))
    return told


def _fates(preview: Preview) -> list[tuple[SafeString, list[str], int]]:
    """Return what becomes of how many nodes, and the names of the first of them."""
    told = []
    for fate, (status, word) in _LOOKS.items():
        if nodes := preview.nodes(fate):
            more = max(len(nodes) - _NAMES, 0)
            told.append((chip(status, word, count=len(nodes)), nodes[:_NAMES], more))
    return told


def _picture(request: HttpRequest, preview: Preview, offered: dict[str, str | Promise]) -> Picture:
    """Return the graph; each node that may run first leads to the preview of that."""
    opened = request.GET.getlist("open")
    words = {status.value: str(word) for status, word in _LOOKS.values()}
    picture = picture_of(
        WorkflowVersion.objects.get(pk=preview.version_id),
        runs=[
            NodeRun(node_id=node, status=_LOOKS[fate][0].value)
            for node, fate in preview.fates.items()
        ],
        url_of=lambda node: _begin_at(request, node, offered),
        group_url_of=lambda node: query(request, open=[*opened, node]),
        opened=opened,
        draws_all="draw" in request.GET,
    )
    boxes = [box if box.is_group else replace(box, said=words[box.status]) for box in picture.boxes]
    return replace(picture, boxes=boxes)


def _begin_at(request: HttpRequest, node_id: str, offered: dict[str, str | Promise]) -> str:
    start = f"{_NODE}{node_id}"
    return query(request, **{"from": start}) if start in offered else query(request)
