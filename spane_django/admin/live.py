"""The page of an execution follows what happens: deltas of its nodes, by cursor.

`live.js` asks while the execution goes on and somebody looks.  The answer is text only, never
HTML; an answer that tells nothing new costs one query of the engine's tables.  With ``?tail=`` it
tells the new lines of the log, too, as far as they fit the log's filters.  Whoever has been
signed out is told so with 401, where the admin's own views would answer with their login page.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, JsonResponse
from django.urls import URLPattern, path, reverse

from ..core.statuses import ExecutionStatus
from ..engine.control import UnknownExecution
from ..models import Execution, NodeRun
from ..observability.position import Position, UnknownPosition, read_position
from ..observability.stream import Event, Follower
from .base import scope_in
from .execution_nodes import NodesAdmin
from .log_lines import Wanted
from .log_text import sent
from .present import ICONS, WORDS

_LIVE_URL = "spane_django_execution_live"


class LiveAdmin(NodesAdmin):
    """The page of an execution that goes on."""

    def get_urls(self) -> list[URLPattern]:
        # Not wrapped as the other views are: that would answer with a page to log in.
        return [path("<uuid:pk>/live/", self.live_view, name=_LIVE_URL), *super().get_urls()]

    def live(self, execution: Execution) -> dict[str, Any]:
        """Return what the page needs to follow an execution; of one that has ended: nothing.

        It is called before anything else of the page is read, so that no change falls between.
        """
        if ExecutionStatus(execution.status).is_final:
            return {}
        # What nodes wrote is read with the log, not here: there may be very much of it.
        last = execution.log_lines.order_by("pk").values_list("pk", flat=True).last()
        follower = Follower(execution.pk, Position(line=last or 0))
        while (reading := follower.read()).has_more:
            pass
        url = reverse(f"admin:{_LIVE_URL}", args=[execution.pk], current_app=self.site)
        return {"live_url": url, "live_cursor": reading.cursor}

    def live_view(self, request: HttpRequest, pk: UUID) -> JsonResponse:
        """Tell what has changed since ``?cursor=``."""
        if not self.admin_site.has_permission(request):
            return _refused("signed-out", 401)
        if not self.has_view_permission(request) or not self._is_within(request, pk):
            return _refused("not-allowed", 403)
        try:
            reading = Follower(pk, _position(request, pk)).read()
        except UnknownExecution:
            return _refused("unknown", 404)
        answer = {
            "cursor": reading.cursor,
            "more": reading.has_more,
            "done": reading.has_ended,
            "nodes": [_node(event.subject) for event in reading.events if _is_node(event)],
            "changed": bool(reading.events),
        }
        if "tail" in request.GET:
            may_see = self.has_payload_permission(request)
            wanted = Wanted.by(request.GET)
            answer["lines"] = sent(reading.events, wanted, with_data=may_see)
        return JsonResponse(answer, headers={"Cache-Control": "no-store"})

    def _is_within(self, request: HttpRequest, pk: UUID) -> bool:
        scope = scope_in(request)
        if scope.tenants is None:
            return True
        return scope.within(Execution.objects.filter(pk=pk)).exists()


def _position(request: HttpRequest, pk: UUID) -> Position | None:
    try:
        return read_position(request.GET.get("cursor", ""), pk)
    except UnknownPosition:
        return None


def _is_node(event: Event) -> bool:
    return isinstance(event.subject, NodeRun)


def _node(run: Any) -> list[object]:
    return [run.node_id, run.status, ICONS[run.status], str(WORDS[run.status])]


def _refused(code: str, status: int) -> JsonResponse:
    return JsonResponse({"error": code}, status=status)
