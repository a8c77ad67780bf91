"""Executions over HTTP: what became of them, and what an operator may say to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.schema import Schema
from ..engine import control, retry
from ..models import Execution
from .auth import may_see_payloads, user_of
from .base import EngineView, execution_key
from .examples import EXECUTION, STARTED, STATUS
from .examples import REASON as WHY
from .openapi import ACCEPTED, example, extend_schema, sent
from .present import present_execution, present_log, present_status, present_trace
from .shapes import ExecutionShape, LogsShape, ReferenceShape, StatusShape, TraceShape
from .wire import body_of
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


class LogsView(EngineView):
    """Tells what happened, in the order of time."""

    permissions = {"GET": "spane_django.view_execution"}

    @extend_schema(responses=LogsShape)
    def get(self, request: Request, execution_id: str) -> Response:
        shows = may_see_payloads(request)
        entries = find_execution(execution_id).logs()
        logs = [present_log(entry, with_payloads=shows) for entry in entries]
        return Response({"executionId": execution_id, "logs": logs, "payloadsHidden": not shows})


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
        parameters=[ACCEPTED],
        examples=[sent("With a reason", WHY), example("Another execution", STARTED, on=202)],
    )
    def post(self, request: Request, execution_id: str) -> Response:
        reason = body_of(request, REASON).get("reason", "")
        key, by = execution_key(execution_id), user_of(request)
        return accepted(retry.replay(key, now=current_time(), by=by, reason=reason).pk)


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
