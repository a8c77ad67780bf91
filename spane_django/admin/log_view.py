"""The log on the page of an execution: filtered, in pages, followed, and as a file.

Whoever may see the execution may see its log; the data beside a line need ``view_payload``, here
as on the page of the line.  Files have all lines that fit the filters, are sent while they are
read, and hold one line per entry: as text, or as JSON.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.urls import URLPattern, path, reverse

from ..models import Execution
from .live import LiveAdmin
from .log_lines import LEVELS, Log, Place, Wanted
from .log_text import json_line, shown, text_line
from .present import WORDS, query

_LINES = 50
_CHUNK = 1_000
_NODES = 100
_FIELDS = ("of", "attempt", "level", "text", "lines", "order", "log")
_TYPES = {"txt": "text/plain; charset=utf-8", "jsonl": "application/jsonl; charset=utf-8"}
_NO_FILTER: dict[str, Any] = {**{name: [] for name in _FIELDS}, "of": ""}
_ANCHOR = "#spane-log"


class LogAdmin(LiveAdmin):
    """The page of an execution, as far as its log goes."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.log_view)
        own = [
            path(f"<uuid:pk>/log.{form}", view, {"form": form}, name=_url_name(form))
            for form in _TYPES
        ]
        return [*own, *super().get_urls()]

    def log(self, request: HttpRequest, execution: Execution, *, is_live: bool) -> dict[str, Any]:
        """Return a part of the log for the page, and what else there is of it.

        Args:
            is_live: The page is kept up to date.
        """
        given, wanted = request.GET, Wanted.by(request.GET)
        is_newest_first = given.get("order") != "oldest"
        place = Place.of(given.get("log", ""))
        log = Log(execution, wanted, is_newest_first=is_newest_first)
        page = log.page(place, _LINES)
        may_see = self.has_payload_permission(request)
        follows = is_live and (place == Place() if is_newest_first else page.after is None)
        return {
            "lines": [shown(told, with_data=may_see) for told in page.lines],
            "log_wanted": wanted,
            "log_is_newest_first": is_newest_first,
            "log_last": max((told.line for told in page.lines), default=0),
            "log_more_url": f"{query(request, log=str(page.after))}{_ANCHOR}" if page.after else "",
            "log_start_url": f"{query(request, log=[])}{_ANCHOR}" if place != Place() else "",
            "log_all_url": f"{query(request, **_NO_FILTER)}{_ANCHOR}",
            "log_levels": [(level, WORDS[level]) for level in LEVELS],
            "log_nodes": self._node_ids(execution),
            "log_kept": _others(request),
            "log_files": self._files(request, execution),
            "log_tail": query(request, tail="1") if follows else "",
        }

    def log_view(self, request: HttpRequest, pk: UUID, form: str) -> StreamingHttpResponse:
        """Send the log as a file."""
        execution = self.get_object(request, str(pk))
        if not self.has_view_permission(request, execution):
            raise PermissionDenied
        if execution is None:
            raise Http404
        log = Log(
            execution,
            Wanted.by(request.GET),
            is_newest_first=request.GET.get("order") == "newest",
        )
        may_see = self.has_payload_permission(request)
        write = json_line if form == "jsonl" else text_line
        body = (
            "".join(write(told.entry, may_see) for told in lines) for lines in log.pages(_CHUNK)
        )
        name = f"execution-{execution.pk}.log.{form}"
        return StreamingHttpResponse(
            body,
            content_type=_TYPES[form],
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _node_ids(self, execution: Execution) -> list[str]:
        return list(execution.node_runs.order_by("id").values_list("node_id", flat=True)[:_NODES])

    def _files(self, request: HttpRequest, execution: Execution) -> list[tuple[str, str]]:
        asked = query(request, log=[])
        return [
            (form, reverse(f"admin:{_url_name(form)}", args=[execution.pk], current_app=self.site)
             + asked)
            for form in _TYPES
        ]  # fmt: skip


def _url_name(form: str) -> str:
    return f"spane_django_execution_log_{form}"


def _others(request: HttpRequest) -> list[tuple[str, str]]:
    """Return what the address says beside what the log's form asks for."""
    return [
        (name, value)
        for name, values in request.GET.lists()
        for value in values
        if name not in _FIELDS
    ]
