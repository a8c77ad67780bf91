"""The versions of a workflow: what was published, how two of them differ, and the way back.

* A published version is made current again; an archived one is published anew, with the next
  number; a draft is published.  Each asks first, on a page that shows what would change and which
  executions are under way, which stay with their version, and is refused if the current version,
  or the draft, is no longer what that page showed.
* What was done to a version, by whom and why, is told to those who may see the audit trail.
* A difference has an address that names both versions.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..clock import now as current_time
from ..core.diff import diff, nodes_in
from ..core.errors import SpaneError
from ..engine import drafts
from ..engine.publish import publish
from ..engine.scope import Scope
from ..models import AuditEntry, Execution, Workflow, WorkflowVersion
from .base import has_perm, scope_in
from .diff_picture import picture_between
from .diff_table import summary_of, tables_of
from .present import chip, instant, lately, pretty, query
from .workflow_tabs import TabbedAdmin

MOST = 25
_VERBS = ("publish", "activate", "archive", "save_draft")
_REASON_CHARACTERS = 500
Status = WorkflowVersion.Status
COLOURS: dict[str, str] = {
    Status.DRAFT: "pending", Status.PUBLISHED: "completed", Status.ARCHIVED: "skipped",
}  # fmt: skip
"""The stages of a version in the colours of executions."""
_LABELS: dict[str, Any] = {
    Status.DRAFT: gettext_lazy("Publish"),
    Status.PUBLISHED: gettext_lazy("Restore"),
    Status.ARCHIVED: gettext_lazy("Publish again"),
}


def stage_of(version: WorkflowVersion) -> SafeString:
    """Return what a version is, as a chip."""
    return chip(COLOURS[version.status], version.get_status_display())


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A version as the tab shows it.

    Attributes:
        done: What was done to it: verb, who, when, why.
        live: How many executions of it have not ended.
        verb: What makes it current; empty: it is.
    """

    version: WorkflowVersion
    stage: SafeString
    is_current: bool
    published: SafeString | None
    done: list[tuple[str, str, SafeString | None, str]]
    live: int
    before: int | None
    verb: str


class VersionsAdmin(TabbedAdmin):
    """The page of a workflow with its versions."""

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        name = "spane_django_workflow"
        return [
            path("<int:pk>/versions/", wrap(self.versions_view), name=f"{name}_versions"),
            path("<int:pk>/diff/", wrap(self.diff_view), name=f"{name}_diff"),
            path("<int:pk>/restore/<int:number>/", wrap(self.restore_view), name=f"{name}_restore"),
            *super().get_urls(),
        ]

    def versions_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """List the versions, the newest first; ``?before=`` those of smaller numbers."""
        workflow = self.workflow_for(request, pk)
        rows = workflow.versions.whole().order_by("-number").defer("definition")
        if (before := _number(request, "before")) is not None:
            rows = rows.filter(number__lt=before)
        found = list(rows.select_related("published_by")[: MOST + 1])
        context = {
            "rows": self._listed(request, workflow, found),
            "older": found[MOST - 1].number if len(found) > MOST else None,
            "is_newest": before is None,
            "tells": has_perm(request, "view_auditentry"),
            "diff_url": diff_url(workflow.pk, self.site),
        }
        return self.tab(request, workflow, "versions", context)

    def diff_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show how ``?b=`` differs from ``?a=``; without them, the current from the one before."""
        workflow = self.workflow_for(request, pk)
        current = workflow.current_version
        after = _number(request, "b") or (current.number if current else None)
        before = _number(request, "a") or _before(workflow, after)
        if before is None or after is None:
            context: dict[str, Any] = {"a": before, "b": after}
        else:
            old, new = self._version(workflow, before), self._version(workflow, after)
            swapped = diff_url(workflow.pk, self.site, after, before)
            context = {**self._difference(request, old, new), "swapped": swapped}
        return self.tab(
            request, workflow, "versions", context, template="diff", crumb=_("Differences")
        )

    def restore_view(self, request: HttpRequest, pk: int, number: int) -> HttpResponse:
        """Show what would change and for whom, or make a version the current one."""
        workflow = self.workflow_for(request, pk, "publish_workflow")
        self._require_within(request, [pk])
        version = self._version(workflow, number)
        current = workflow.current_version
        seen = f"{current.number if current else ''}:{version.content_hash}"
        if request.method == "POST" and request.POST.get("seen") == seen:
            reason = request.POST.get("reason", "").strip()[:_REASON_CHARACTERS]
            try:
                made = _restore(version, reason, request.user)
            except SpaneError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                self.log_change(request, workflow, f"restore v{number}: {reason}")
                told = _("%s is the current version.") % made
                self.message_user(request, told, messages.SUCCESS)
                return HttpResponseRedirect(self.tab_url("versions", pk))
        elif request.method == "POST":
            told = _("It has changed meanwhile, and nothing was done. This is how it is now.")
            self.message_user(request, told, messages.WARNING)
        context = {
            **(self._difference(request, current, version) if current else {"b": number}),
            "version": version,
            "is_current": current == version,
            "verb": _LABELS[version.status],
            "seen": seen,
            "live": _live(workflow, scope_in(request)),
        }
        return self.tab(
            request, workflow, "versions", context, template="restore",
            crumb=f"{_LABELS[version.status]}: v{number}",
        )  # fmt: skip

    def _version(self, workflow: Workflow, number: int) -> WorkflowVersion:
        rows = workflow.versions.whole().filter(number=number)
        version: WorkflowVersion | None = rows.select_related("workflow").first()
        if version is None:
            raise Http404
        return version

    def _listed(
        self, request: HttpRequest, workflow: Workflow, found: list[WorkflowVersion]
    ) -> list[Listed]:
        done = _done(request, workflow, found)
        live = dict(_live(workflow, scope_in(request)))
        numbers = [version.number for version in found[1:]]
        return [
            Listed(
                version=version,
                stage=stage_of(version),
                is_current=version.pk == workflow.current_version_id,
                published=instant(version.published_at),
                done=done[version.number],
                live=live.get(version.number, 0),
                before=before,
                verb="" if version.pk == workflow.current_version_id else _LABELS[version.status],
            )
            for version, before in zip(found[:MOST], [*numbers, None], strict=False)
        ]

    def _difference(
        self, request: HttpRequest, before: WorkflowVersion, after: WorkflowVersion
    ) -> dict[str, Any]:
        old, new = before.definition, after.definition
        found = diff(old, new)
        opened, node = request.GET.getlist("open"), request.GET.get("node", "")
        was, is_ = nodes_in(old).get(node), nodes_in(new).get(node)
        drawn = picture_between(
            old,
            new,
            found,
            url_of=lambda node: f"{query(request, node=node)}#spane-node",
            group_url_of=lambda node: query(request, open=[*opened, node]),
            opened=opened,
            draws_all="draw" in request.GET,
        )
        return {
            "a": before.number,
            "b": after.number,
            "differs": bool(found),
            "summary": summary_of(found),
            "tables": tables_of(found),
            "picture": drawn.picture,
            "left_out": drawn.left_out,
            "draw_url": query(request, draw="all"),
            "selected": node,
            "node_was": was and pretty(was),
            "node_is": is_ and pretty(is_),
        }


def diff_url(pk: object, site: str, before: object = "", after: object = "") -> str:
    """Return the address of the differences between two versions of a workflow."""
    url = reverse("admin:spane_django_workflow_diff", args=[pk], current_app=site)
    return f"{url}?a={before}&b={after}" if before and after else url


def _restore(version: WorkflowVersion, reason: str, user: Any) -> WorkflowVersion:
    """Make a version the current one, by the verb of what it is."""
    workflow, now = version.workflow, current_time()
    tenant = workflow.tenant
    if version.status == Status.DRAFT:
        return drafts.publish_draft(workflow.key, now=now, by=user, reason=reason, tenant=tenant)
    if version.status == Status.ARCHIVED:
        return publish(version.definition, now=now, by=user, reason=reason, tenant=tenant)
    return drafts.activate(
        workflow.key, version.number, now=now, by=user, reason=reason, tenant=tenant
    )


def _live(workflow: Workflow, scope: Scope) -> list[tuple[int, int]]:
    """Return how many executions of each version have not ended, the newest version first."""
    rows = scope.within(Execution.objects.unfinished())
    rows = rows.filter(workflow=workflow, version__part="")
    counted = rows.order_by("-version__number").values_list("version__number")
    return list(counted.annotate(Count("pk")))


def _done(
    request: HttpRequest, workflow: Workflow, found: list[WorkflowVersion]
) -> dict[int, list[tuple[str, str, SafeString | None, str]]]:
    """Return what was done to versions, the latest first, as far as the user may know."""
    told: dict[int, list[tuple[str, str, SafeString | None, str]]] = defaultdict(list)
    if not has_perm(request, "view_auditentry"):
        return told
    numbers = {f"{workflow.key} v{version.number}": version.number for version in found}
    entries = scope_in(request).within(AuditEntry.objects.all())
    entries = entries.filter(target__in=numbers, verb__in=_VERBS, tenant=workflow.tenant)
    for entry in entries.order_by("-id")[: 10 * MOST]:
        said = (entry.verb, entry.username, lately(entry.at), entry.reason)
        told[numbers[entry.target]].append(said)
    return told


def _before(workflow: Workflow, number: int | None) -> int | None:
    """Return the version before one that was ever current."""
    rows = workflow.versions.whole().exclude(status=Status.DRAFT)
    numbers = rows.filter(number__lt=number or 0).order_by("-number")
    found: int | None = numbers.values_list("number", flat=True).first()
    return found


def _number(request: HttpRequest, name: str) -> int | None:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else None
