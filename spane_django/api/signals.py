"""Signals over HTTP: to one execution, or by a key to whoever waits for it."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.schema import Schema
from ..engine.signals import signal
from ..models import Signal
from .auth import user_of
from .base import EngineView, execution_key
from .examples import SIGNAL as PAID
from .openapi import extend_schema, sent
from .shapes_operating import SignalShape
from .wire import body_of

PAYLOAD: Schema = {
    "type": "object",
    "properties": {"payload": {}},
    "additionalProperties": False,
}
SIGNAL: Schema = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "key": {"type": "string"}, "payload": {}},
    "required": ["name"],
    "additionalProperties": False,
}


class SignalsView(EngineView):
    """Sends a signal by its key."""

    permissions = {"POST": "spane_django.send_signal"}

    @extend_schema(request=SIGNAL, responses={202: SignalShape}, examples=[sent("By a key", PAID)])
    def post(self, request: Request) -> Response:
        body = body_of(request, SIGNAL)
        sent = signal(
            body["name"],
            body.get("payload"),
            key=body.get("key"),
            tenant=self.tenant,
            now=current_time(),
            by=user_of(request),
        )
        return _accepted(sent)


class ExecutionSignalView(EngineView):
    """Sends a signal to an execution."""

    permissions = {"POST": "spane_django.send_signal"}

    @extend_schema(request=PAYLOAD, responses={202: SignalShape})
    def post(self, request: Request, execution_id: str, signal_name: str) -> Response:
        body = body_of(request, PAYLOAD)
        sent = signal(
            signal_name,
            body.get("payload"),
            execution_id=execution_key(execution_id),
            now=current_time(),
            by=user_of(request),
        )
        return _accepted(sent)


def _accepted(sent: Signal) -> Response:
    shown: dict[str, Any] = {
        "id": sent.pk,
        "name": sent.name,
        "key": sent.key,
        "isTaken": sent.node_run_id is not None,
        "keptUntil": sent.expires_at,
    }
    return Response(shown, status=202)
