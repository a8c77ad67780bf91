"""Node runs with their attempts, and the lines of logs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ..clock import now as current_time
from ..models import Attempt, Execution, LogLine, NodeRun
from ..models.payloads import shown
from .base import ReadOnlyAdmin
from .present import (
    brief,
    chip,
    code,
    instant,
    lately,
    length,
    link,
    moment,
    page_of,
    pretty,
    short_id,
)
from .timeline import ran, waited

_ATTEMPTS = 20


class OfExecution(ReadOnlyAdmin):
    """Rows that belong to an execution."""

    list_select_related = ("execution__workflow",)

    @admin.display(description=_("execution"))
    def of_execution(self, row: Any) -> SafeString:
        page = page_of(Execution, row.execution_id, self.site)
        return link(page, code(short_id(row.execution_id), title=str(row.execution_id)))

    @admin.display(description=_("execution"))
    def workflow_and_execution(self, row: Any) -> SafeString:
        return format_html("{}<br>{}", self.of_workflow(row), self.of_execution(row))

    @admin.display(description=_("workflow"))
    def of_workflow(self, row: Any) -> SafeString:
        return format_html("<bdi>{}</bdi>", row.execution.workflow.name)


@admin.register(NodeRun)
class NodeRunAdmin(OfExecution):
    """What became of each node of each execution."""

    list_display = (
        "identity", "standing", "error", "workflow_and_execution", "attempt", "lately",
        "run_time",
    )  # fmt: skip
    list_filter = ("status",)
    list_defer = (
        "output", "checkpoint", "next_nodes", "execution__input",
        "execution__workflow__description",
    )  # fmt: skip
    ordering = ("-id",)
    fields = (
        "node_id", "node_type", "of_workflow", "of_execution", "queue", "priority", "attempt",
        "failures", "losses", "available", "began", "ended", "wait", "run_time", "chosen",
        "worker_id",
    )  # fmt: skip
    empty_hint = _("No node has run yet: start a workflow, and a worker to run its nodes:")
    empty_command = "python manage.py rqworker spane"

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        payloads = [(_("Output"), pretty(shown(obj.output)))] if obj.output is not None else []
        return {
            "chip": self.standing(obj),
            "payloads": payloads if self.has_payload_permission(request) else [],
            "attempts": attempts_of(obj),
            "letter": obj.dead_letters.order_by("pk").defer("input", "traceback").last(),
        }

    @admin.display(description=_("node"))
    def identity(self, run: NodeRun) -> SafeString:
        return code(run.node_id)

    @admin.display(description=_("status"))
    def standing(self, run: NodeRun) -> SafeString:
        return chip(run.status)

    @admin.display(description=_("available at"))
    def available(self, run: NodeRun) -> SafeString | None:
        return instant(run.available_at)

    @admin.display(description=_("started"))
    def began(self, run: NodeRun) -> SafeString | None:
        return instant(run.started_at)

    @admin.display(description=_("started"))
    def lately(self, run: NodeRun) -> SafeString | None:
        return lately(run.started_at)

    @admin.display(description=_("finished"))
    def ended(self, run: NodeRun) -> SafeString | None:
        return instant(run.finished_at)

    @admin.display(description=_("waited"))
    def wait(self, run: NodeRun) -> SafeString | None:
        return length(waited(run, current_time()))

    @admin.display(description=_("ran"))
    def run_time(self, run: NodeRun) -> SafeString | None:
        return length(ran(run, current_time()))

    @admin.display(description=_("chosen children"))
    def chosen(self, run: NodeRun) -> str | None:
        return None if run.next_nodes is None else ", ".join(run.next_nodes) or str(_("none"))

    @admin.display(description=_("error or reason"))
    def error(self, run: NodeRun) -> str | None:
        return brief(run.error_message or run.reason) or None


@admin.register(LogLine)
class LogLineAdmin(OfExecution):
    """What nodes wrote to the logs of their executions."""

    list_display = ("at", "standing", "node_id", "attempt", "text", "workflow_and_execution")
    list_filter = ("level",)
    list_defer = ("data", "execution__input", "execution__workflow__description")
    ordering = ("-id",)
    fields = ("at", "node_id", "attempt", "of_workflow", "of_execution", "message")
    empty_hint = _("No node has written to its log yet.")

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        payloads = [(_("Data"), pretty(obj.data))] if obj.data is not None else []
        return {
            "chip": self.standing(obj),
            "payloads": payloads if self.has_payload_permission(request) else [],
        }

    @admin.display(description=_("time"))
    def at(self, line: LogLine) -> SafeString:
        return moment(line.created_at)

    @admin.display(description=_("level"))
    def standing(self, line: LogLine) -> SafeString:
        return chip(line.level)

    @admin.display(description=_("message"))
    def text(self, line: LogLine) -> str:
        return brief(line.message)


def attempts_of(run: NodeRun) -> list[tuple[Attempt, SafeString | None, SafeString | None]]:
    """Return the last attempts that did not succeed, when each began and how long it took."""
    return [
        (attempt, instant(attempt.started_at), length(_took(attempt)))
        for attempt in run.attempts.order_by("-number")[:_ATTEMPTS]
    ]


def _took(attempt: Attempt) -> timedelta | None:
    return None if attempt.started_at is None else attempt.finished_at - attempt.started_at
