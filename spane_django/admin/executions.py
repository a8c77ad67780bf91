"""Executions: the list, and the page that shows what one does and lets operators step in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Count, Func, IntegerField, QuerySet
from django.db.models.fields.json import KeyTransform
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..core.statuses import ExecutionStatus, NodeStatus
from ..engine.explain import explain
from ..engine.scope import Scope
from ..models import DeadLetter, Execution, NodeRun, Workflow, WorkflowVersion
from ..models.payloads import shown
from ..models.story import output
from .base import scope_in
from .bulk import Wanted
from .execution_verbs import CANCEL, PAUSE, REASSIGN, REPLAY, RESUME, RETRY
from .filters import PERIODS, CreatedFilter, LevelFilter, WorkflowFilter, ids_beginning_with
from .log_view import LogAdmin
from .present import (
    chip,
    code,
    instant,
    lately,
    length,
    link,
    list_of,
    page_of,
    pretty,
    progress,
    short_id,
)
from .replaying import ReplayAdmin, replay_url
from .timeline import DONE, Asked, timeline_of
from .verbs import Verb

_HAS_RUN = (NodeStatus.COMPLETED, NodeStatus.FAILED)
_REPLAYS = 10
_LETTERS = 20


class _Items(Func):
    """The number of items of a JSON array, counted by the database."""

    function = "json_array_length"
    output_field = IntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        return self.as_sql(compiler, connection, function="jsonb_array_length", **extra)


@admin.register(Execution)
class ExecutionAdmin(ReplayAdmin, LogAdmin):
    """Executions, with every verb of an operator."""

    list_display = (
        "identity", "workflow_or_replay", "standing", "progress", "lately", "took",
    )  # fmt: skip
    list_filter = ("status", ("workflow", WorkflowFilter), CreatedFilter, LevelFilter)
    list_select_related = ("workflow", "version")
    list_defer = ("input", "workflow__description", "version__definition")
    search_fields = ("id",)
    search_help_text = _("An id, or the beginning of one.")
    verbs = (PAUSE, RESUME, RETRY, REPLAY, REASSIGN, CANCEL)
    bulk_verbs = {verb.name: verb.name for verb in verbs}
    fields = (
        "of_version", "created", "starts", "began", "ended", "took", "due", "priority",
        "started_by", "idempotency_key", "started_from", "has_started", "origin", "copies",
    )  # fmt: skip
    empty_hint = _("Nothing has been started yet. Start a workflow:")
    empty_command = "python manage.py spane_start WORKFLOW_ID"

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        if not search_term.strip():
            return queryset, False
        ids = ids_beginning_with(search_term)
        return (queryset.filter(pk__range=ids) if ids else queryset.none()), False

    def prepare(self, rows: list[Any], scope: Scope) -> None:
        ids = [row.pk for row in rows if row.status != ExecutionStatus.COMPLETED]
        done = dict(
            NodeRun.objects.filter(execution__in=ids, status__in=DONE)
            .order_by()
            .values_list("execution")
            .annotate(Count("pk"))
        )
        versions = WorkflowVersion.objects.filter(pk__in={row.version_id for row in rows})
        items = _Items(KeyTransform("nodes", "definition"))
        totals = dict(versions.order_by().values_list("pk", items))
        for row in rows:
            total = totals[row.version_id]
            is_complete = row.status == ExecutionStatus.COMPLETED
            row.node_counts = (total if is_complete else done.get(row.pk, 0), total)

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        live = self.live(obj)
        letters = obj.dead_letters.open().order_by("pk").defer("input", "traceback")
        may_see = self.has_payload_permission(request)
        shown_, nodes = super().page(request, obj), self.nodes(request, obj)
        asked = Asked.by(request, self.site, nodes["selected"])
        return {
            **shown_,
            **live,
            **nodes,
            "buttons": [button for button in shown_["buttons"] if button.verb is not REPLAY],
            "replay_url": replay_url(request, self.site, obj.pk),
            "rerun_url": self._rerun_url(request, obj, nodes["node"]),
            **self.log(request, obj, is_live=bool(live)),
            "explanation": explain(obj, now=current_time()),
            "timeline": timeline_of(obj, asked, now=current_time()),
            "asked": asked,
            "letters": letters[:_LETTERS],
            "payloads": self._payloads(obj) if may_see else [],
            "runs_url": list_of(NodeRun, self.site, execution=obj.pk),
            "letters_url": list_of(DeadLetter, self.site, execution=obj.pk, resolved="all"),
        }

    def _rerun_url(self, request: HttpRequest, obj: Execution, node: Any) -> str:
        """Return where the node that is looked at is run again; empty: it has not run."""
        has_run = node is not None and node.run is not None and node.run.status in _HAS_RUN
        return replay_url(request, self.site, obj.pk, node.node_id) if has_run else ""

    def wanted(self, request: HttpRequest) -> Wanted | None:
        asked = request.GET
        if set(asked) - {"status__exact", "workflow__id__exact", "created", "level", "parent"}:
            return None
        selection: dict[str, Any] = {}
        if status := asked.get("status__exact"):
            selection["status"] = [status]
        if workflow := asked.get("workflow__id__exact"):
            row = scope_in(request).within(Workflow.objects.filter(pk=workflow)).first()
            if row is None:
                return None
            selection["workflow"] = row.key
        if (period := asked.get("created")) in PERIODS:
            selection["createdSince"] = (current_time() - PERIODS[period][1]).isoformat()
        if parent := asked.get("parent"):
            selection["parent"] = parent
        elif asked.get("level") == LevelFilter.ALL:
            selection["nested"] = True
        return selection, {}

    def breakdown(self, queryset: QuerySet[Any]) -> list[tuple[SafeString, int]]:
        counted = queryset.order_by("status").values_list("status").annotate(Count("pk"))
        return [(chip(status), count) for status, count in counted]

    def next_page(self, verb: Verb, made: Sequence[object]) -> str:
        if verb is REPLAY and len(made) == 1 and isinstance(made[0], Execution):
            return page_of(Execution, made[0].pk, self.site)
        return ""

    def _payloads(self, execution: Execution) -> list[tuple[Any, SafeString]]:
        given = [(_("Input"), pretty(shown(execution.input)))]
        came_to = output(execution, shown)
        return given if came_to is None else [*given, (_("Output"), pretty(came_to))]

    @admin.display(description=_("execution"))
    def identity(self, execution: Execution) -> SafeString:
        return code(short_id(execution.pk), title=str(execution.pk))

    @admin.display(description=_("workflow"))
    def of_version(self, execution: Execution) -> SafeString:
        named = format_html("<bdi>{} v{}</bdi>", execution.workflow.name, execution.version.number)
        return link(page_of(WorkflowVersion, execution.version_id, self.site), named)

    @admin.display(description=_("workflow"))
    def workflow_or_replay(self, execution: Execution) -> SafeString:
        pk = execution.replay_of_id
        if pk is None:
            return self.of_version(execution)
        original = link(page_of(Execution, pk, self.site), _("replay of another"))
        return format_html("{}<br>↩ {}", self.of_version(execution), original)

    @admin.display(description=_("status"))
    def standing(self, execution: Execution) -> SafeString:
        return chip(execution.status)

    @admin.display(description=_("progress"))
    def progress(self, execution: Any) -> SafeString:
        return progress(*execution.node_counts)

    @admin.display(description=_("created"))
    def created(self, execution: Execution) -> SafeString | None:
        return instant(execution.created_at)

    @admin.display(description=_("not before"))
    def starts(self, execution: Execution) -> SafeString | None:
        return instant(execution.start_at)

    @admin.display(description=_("started"))
    def began(self, execution: Execution) -> SafeString | None:
        return instant(execution.started_at)

    @admin.display(description=_("started"))
    def lately(self, execution: Execution) -> SafeString | None:
        return lately(execution.started_at)

    @admin.display(description=_("finished"))
    def ended(self, execution: Execution) -> SafeString | None:
        return instant(execution.finished_at)

    @admin.display(description=_("deadline"))
    def due(self, execution: Execution) -> SafeString | None:
        return instant(execution.deadline_at)

    @admin.display(description=_("duration"))
    def took(self, execution: Execution) -> SafeString | None:
        if execution.started_at is None:
            return None
        return length((execution.finished_at or current_time()) - execution.started_at)

    @admin.display(description=_("parent"))
    def started_from(self, execution: Execution) -> SafeString | None:
        if execution.parent_id is None:
            return None
        run = execution.parent_run
        node = link(page_of(NodeRun, run.pk, self.site), code(run.node_id)) if run else ""
        place = "" if execution.item is None else f"#{execution.item}"
        said = (self._linked(execution.parent_id), execution.get_relation_display(), node, place)
        return format_html_join(" ", "{}", [(part,) for part in said if part])

    @admin.display(description=_("children"))
    def has_started(self, execution: Execution) -> SafeString | None:
        shown = [
            link(
                list_of(Execution, self.site, parent=str(execution.pk), status__exact=status),
                chip(status, count=count),
            )
            for status, count in execution.count_children().items()
        ]
        return format_html_join(" ", "{}", [(part,) for part in shown]) or None

    @admin.display(description=_("replay of"))
    def origin(self, execution: Execution) -> SafeString | None:
        return self._linked(execution.replay_of_id) if execution.replay_of_id else None

    @admin.display(description=_("replayed as"))
    def copies(self, execution: Execution) -> SafeString | None:
        ids = execution.replays.order_by("-pk").values_list("pk", flat=True)[:_REPLAYS]
        return format_html_join(", ", "{}", [(self._linked(pk),) for pk in ids]) or None

    def _linked(self, pk: Any) -> SafeString:
        return link(page_of(Execution, pk, self.site), code(short_id(pk), title=str(pk)))
