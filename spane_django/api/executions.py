"""Executions over HTTP: what became of them, and what an operator may say to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..conf import settings
from ..core.schema import Schema
from ..core.starting import KEY_LENGTH
from ..engine import control, retry
from ..engine.explain import explain
from ..models import Execution, NodeRun
from ..models.payloads import Within
from ..models.story import LogEntry
from .auth import may_see_payloads, user_of
from .base import EngineView, execution_key
from .examples import EXECUTION, EXPLAINED, STARTED, STATUS
from .examples import REASON as WHY
from .filters import filtered, values_of
from .filtersets import LogFilters, NodeRunFilters
from .openapi import ACCEPTED, IDEMPOTENCY, example, extend_schema, page_of, sent
from .pages import page, page_of_entries
from .present import present_execution, present_log, present_node_run, present_status, present_trace
from .shapes import (
    ExecutionShape,
    ExplanationShape,
    LogEntryShape,
    NodeRunShape,
    ReferenceShape,
    StatusShape,
    TraceShape,
)
from .wire import body_of, header_of
from .workflows import accepted

REASON: Schema = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 1_000}},
    "additionalProperties": False,
}


class ExecutionView(EngineView):
    """Shows an execution: status, input, output, the results of its nodes."""

    permissions = {"GET": "spane_django.view_execution"}

    @extend_schema(responses=ExecutionShape, examples=[example("A greeting", EXECUTION)])
    def get(self, request: Request, execution_id: str) -> Response:
        execution = find_execution(execution_id)
        with_payloads = may_see_payloads(request)
        return Response(present_execution(execution, with_payloads=with_payloads))


class NodesView(EngineView):
    """Lists the nodes of an execution, in the order in which their turn came."""

    permissions = {"GET": "spane_django.view_execution"}
    filterset_class = NodeRunFilters
    is_paged = True

    @extend_schema(summary="List the nodes of an execution", responses=page_of(NodeRunShape))
    def get(self, request: Request, execution_id: str) -> Response:
        shows = may_see_payloads(request)
        runs = find_execution(execution_id).node_runs.defer("checkpoint")
        chosen = filtered(request, NodeRunFilters, runs if shows else runs.defer("output"))
        read = Within(settings.MAX_PAYLOAD_BYTES) if shows else None

        def present(run: NodeRun) -> dict[str, Any]:
            return present_node_run(run, read)

        return page(request, chosen, present, ordering=("id",))


class LogsView(EngineView):
    """Tells what happened, in the order of time."""

    permissions = {"GET": "spane_django.view_execution"}
    filterset_class = LogFilters
    is_paged = True

    @extend_schema(summary="Tell what happened", responses=page_of(LogEntryShape))
    def get(self, request: Request, execution_id: str) -> Response:
        shows, wanted = may_see_payloads(request), values_of(request, LogFilters)
        entries = [entry for entry in find_execution(execution_id).logs() if _fits(entry, wanted)]

        def present(entry: LogEntry) -> dict[str, Any]:
            return present_log(entry, with_payloads=shows)

        return page_of_entries(request, entries, present, lambda entry: entry.at)


class ExplainView(EngineView):
    """Tells why an execution does not move, or what it is doing: a sentence and the facts."""

    permissions = {"GET": "spane_django.view_execution"}

    @extend_schema(responses=ExplanationShape, examples=[example("It waits", EXPLAINED)])
    def get(self, request: Request, execution_id: str) -> Response:
        found = explain(find_execution(execution_id), now=current_time())
        return Response({"sentence": found.sentence, "facts": found.facts, "queues": found.queues})


class TraceView(EngineView):
    """Shows a span for every attempt of every node."""

    permissions = {"GET": "spane_django.view_execution"}

    @extend_schema(responses=TraceShape)
    def get(self, request: Request, execution_id: str) -> Response:
        return Response(present_trace(find_execution(execution_id).trace()))


class ControlView(EngineView):
    """Says one thing to an execution.  The body may give a ``reason``."""

    verb: ClassVar[Callable[..., Execution]]

    @extend_schema(
        request=REASON,
        responses=StatusShape,
        examples=[sent("With a reason", WHY), example("Where it stands", STATUS)],
    )
    def post(self, request: Request, execution_id: str) -> Response:
        reason = body_of(request, REASON).get("reason", "")
        key = execution_key(execution_id)
        verb, by = type(self).verb, user_of(request)
        execution = verb(key, now=current_time(), by=by, reason=reason)
        return Response(present_status(execution))


class PauseView(ControlView):
    """Lets nothing new start."""

    permissions = {"POST": "spane_django.pause_execution"}
    verb = control.pause


class ResumeView(ControlView):
    """Lets a paused execution go on."""

    permissions = {"POST": "spane_django.pause_execution"}
    verb = control.resume


class CancelView(ControlView):
    """Ends an execution at once."""

    permissions = {"POST": "spane_django.cancel_execution"}
    verb = control.cancel


class RetryView(ControlView):
    """Runs the nodes of an execution again that failed for good."""

    permissions = {"POST": "spane_django.retry_execution"}
    verb = retry.retry_failed


class ReplayView(EngineView):
    """Starts the same version with the same input again."""

    permissions = {"POST": "spane_django.replay_execution"}

    @extend_schema(
        request=REASON,
        responses={202: ReferenceShape},
        parameters=[IDEMPOTENCY, ACCEPTED],
        examples=[sent("With a reason", WHY), example("Another execution", STARTED, on=202)],
    )
    def post(self, request: Request, execution_id: str) -> Response:
        reason = body_of(request, REASON).get("reason", "")
        replayed = retry.replay(
            execution_key(execution_id),
            now=current_time(),
            by=user_of(request),
            reason=reason,
            idempotency_key=header_of(request, "Idempotency-Key", longest=KEY_LENGTH),
            trigger="api",
        )
        return accepted(replayed.pk)


def _fits(entry: LogEntry, wanted: Mapping[str, Any]) -> bool:
    return (
        entry.level in wanted.get("level", (entry.level,))
        and entry.node_id == wanted.get("node", entry.node_id)
        and wanted.get("text", "").lower() in entry.message.lower()
    )


def find_execution(given: str) -> Execution:
    """Return an execution by its id as it stands in a URL, with its workflow and version.

    Raises:
        UnknownExecution: there is none.
    """
    key = execution_key(given)
    executions = Execution.objects.select_related("workflow", "version", "parent_run")
    executions = executions.defer("parent_run__output", "parent_run__checkpoint")
    found = executions.filter(pk=key).first()
    if found is None:
        raise control.UnknownExecution(f"there is no execution {key}")
    return found
