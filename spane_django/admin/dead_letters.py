"""Dead letters: nodes that failed for good and wait for somebody to deal with them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Max, Min, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..engine import retry
from ..models import DeadLetter, NodeRun, Workflow
from ..models.payloads import shown
from .base import scope_in
from .bulk import BulkAdmin, Wanted
from .filters import ErrorTypeFilter, NodeFilter, ResolvedFilter, WorkflowFilter
from .forms import AskWhyForm
from .node_runs import OfExecution, attempts_of
from .present import brief, chip, code, instant, lately, link, list_of, page_of, pretty
from .replaying import replay_url
from .verbs import Order, Verb

_GROUPS = 200
_GROUPS_URL = "spane_django_deadletter_groups"


def _retry(pk: int, order: Order) -> DeadLetter:
    return retry.retry_dead_letter(pk, now=order.now, by=order.by, reason=order.reason)


def _discard(pk: int, order: Order) -> DeadLetter:
    return retry.discard_dead_letter(pk, now=order.now, by=order.by, reason=order.reason)


def _is_open(letter: DeadLetter) -> bool:
    return letter.resolved_at is None


RETRY = Verb(
    name="retry",
    label=_("Retry"),
    done=ngettext_lazy("%(count)d node runs again.", "%(count)d nodes run again.", "count"),
    permission="retry_execution",
    apply=_retry,
    is_legal=_is_open,
)
DISCARD = Verb(
    name="discard",
    label=_("Discard"),
    done=ngettext_lazy(
        "%(count)d dead letter was discarded.", "%(count)d dead letters were discarded.", "count"
    ),
    permission="retry_execution",
    apply=_discard,
    is_legal=_is_open,
    warning=_(
        "A discarded dead letter counts as dealt with and cannot be retried any more; its "
        "execution stays failed."
    ),
    takes_reason=True,
    form=AskWhyForm,
)


@admin.register(DeadLetter)
class DeadLetterAdmin(OfExecution, BulkAdmin):
    """Open dead letters first; resolved ones are kept."""

    list_display = (
        "identity", "standing", "error", "workflow_and_execution", "attempts", "lately",
    )  # fmt: skip
    list_filter = (
        ResolvedFilter,
        ErrorTypeFilter,
        NodeFilter,
        ("execution__workflow", WorkflowFilter),
    )
    list_defer = (
        "input", "traceback", "execution__input", "execution__workflow__description",
    )  # fmt: skip
    verbs = (RETRY, DISCARD)
    bulk_verbs = {"retry": "retry-letters", "discard": "discard-letters"}
    fields = (
        "of_run", "node_type", "of_workflow", "of_execution", "attempts", "failed", "resolved",
        "resolution", "resolved_by",
    )  # fmt: skip
    empty_hint = _("Nothing here: no node has failed for good without being dealt with.")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.groups_view)
        return [path("groups/", view, name=_GROUPS_URL), *super().get_urls()]

    def groups_view(self, request: HttpRequest) -> HttpResponse:
        """Show open dead letters by what went wrong where."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        open_ = self.get_queryset(request).filter(resolved_at=None).order_by()
        keys = ("error_type", "node_id", "execution__workflow", "execution__workflow__name")
        counted = open_.values(*keys).annotate(
            count=Count("pk"), one=Max("pk"), first=Min("created_at"), last=Max("created_at")
        )
        counted = list(counted.order_by("-count", "error_type")[:_GROUPS])
        newest = DeadLetter.objects.filter(pk__in=[group["one"] for group in counted])
        messages = dict(newest.values_list("pk", "error_message"))
        groups = [
            {
                **group,
                "first": lately(group["first"]),
                "last": lately(group["last"]),
                "message": brief(messages.get(group["one"], "")),
                "url": list_of(
                    DeadLetter, self.site, error_type=group["error_type"],
                    node_id=group["node_id"],
                    execution__workflow__id__exact=group["execution__workflow"],
                ),
            }
            for group in counted
        ]  # fmt: skip
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("Dead letters by error"),
            "groups": groups,
            "verbs": [verb for verb in self.verbs if self.may(request, verb)],
        }
        request.current_app = self.site
        return TemplateResponse(request, "admin/spane_django/deadletter/groups.html", context)

    def wanted(self, request: HttpRequest) -> Wanted | None:
        asked = request.GET
        names = {"error_type": "errorType", "node_id": "node"}
        if set(asked) - {*names, "execution__workflow__id__exact", "execution"}:
            return None
        chosen = {wire: asked[name] for name, wire in names.items() if name in asked}
        if "execution" in asked:
            chosen["execution"] = asked["execution"]
        if workflow := asked.get("execution__workflow__id__exact"):
            row = scope_in(request).within(Workflow.objects.filter(pk=workflow)).first()
            if row is None:
                return None
            chosen["workflow"] = row.key
        return {"nested": True}, chosen

    def breakdown(self, queryset: QuerySet[Any]) -> list[tuple[SafeString, int]]:
        counted = queryset.order_by().values_list("error_type").annotate(count=Count("pk"))
        return [(code(kind), count) for kind, count in counted.order_by("-count")[:20]]

    def get_ordering(self, request: HttpRequest) -> Any:
        if request.GET.get(ResolvedFilter.parameter_name) == ResolvedFilter.ALL:
            return (F("resolved_at").asc(nulls_first=True), "-id")
        return ("-id",)

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        may_see = self.has_payload_permission(request)
        return {
            **super().page(request, obj),
            "payloads": [(_("Input"), pretty(shown(obj.input)))] if may_see else [],
            "may_see_payload": may_see,
            "attempts": attempts_of(obj.node_run),
            "replay_url": self._replay_url(request, obj),
        }

    def _replay_url(self, request: HttpRequest, letter: DeadLetter) -> str:
        """Return where its node runs again with another input; empty: it has been dealt with."""
        if not _is_open(letter):
            return ""
        return replay_url(request, self.site, letter.execution_id, letter.node_id)

    @admin.display(description=_("node"))
    def identity(self, letter: DeadLetter) -> SafeString:
        return code(letter.node_id)

    @admin.display(description=_("node"))
    def of_run(self, letter: DeadLetter) -> SafeString:
        return link(page_of(NodeRun, letter.node_run_id, self.site), code(letter.node_id))

    @admin.display(description=_("status"))
    def standing(self, letter: DeadLetter) -> SafeString:
        if letter.resolved_at is None:
            return chip("failed", _("open"))
        is_retried = letter.resolution == DeadLetter.Resolution.RETRIED
        return chip("completed" if is_retried else "skipped", letter.get_resolution_display())

    @admin.display(description=_("error"))
    def error(self, letter: DeadLetter) -> str:
        return brief(f"{letter.error_type}: {letter.error_message}")

    @admin.display(description=_("failed"))
    def failed(self, letter: DeadLetter) -> SafeString | None:
        return instant(letter.created_at)

    @admin.display(description=_("failed"))
    def lately(self, letter: DeadLetter) -> SafeString | None:
        return lately(letter.created_at)

    @admin.display(description=_("resolved"))
    def resolved(self, letter: DeadLetter) -> SafeString | None:
        return instant(letter.resolved_at)
