"""Gates over HTTP: the limits in use, and their breakers, which operators flip.

Gates are the installation's: with tenants, those see them who may see everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.limits import BreakerStatus
from ..engine.gates import UnknownGate, flip, listed, reset
from ..models import Gate
from .auth import user_of
from .base import EngineView
from .executions import REASON
from .filters import require_known
from .openapi import example, extend_schema, page_of
from .pages import PAGE_NAMES, page
from .present import Shown
from .shapes_audit import GATE, GateShape
from .wire import body_of


class GatesView(EngineView):
    """Lists limits in use, by their keys, with how many nodes run there now."""

    permissions = {"GET": "spane_django.view_gate"}
    is_paged = True

    @extend_schema(summary="List gates", responses=page_of(GateShape))
    def get(self, request: Request) -> Response:
        require_known(request, PAGE_NAMES)
        return page(request, self.scope.within(listed()), present_gate, ordering=("key",))


class FlipView(EngineView):
    """Says one thing to a gate.  The body may give a `reason`."""

    permissions = {"POST": "spane_django.flip_gate"}
    verb: ClassVar[Callable[..., Gate]]

    @extend_schema(request=REASON, responses=GateShape, examples=[example("A gate", GATE)])
    def post(self, request: Request, gate_key: str) -> Response:
        reason = body_of(request, REASON).get("reason", "")
        if not self.scope.within(Gate.objects.filter(key=gate_key)).exists():
            raise UnknownGate(f"there is no gate '{gate_key[:100]}'")
        type(self).verb(gate_key, now=current_time(), by=user_of(request), reason=reason)
        return Response(present_gate(listed().get(key=gate_key)))


def _opened(key: str, **who: Any) -> Gate:
    return flip(key, BreakerStatus.OPEN, **who)


def _closed(key: str, **who: Any) -> Gate:
    return flip(key, BreakerStatus.CLOSED, **who)


class OpenGateView(FlipView):
    """Holds all nodes of a gate back until somebody closes it."""

    verb = _opened


class CloseGateView(FlipView):
    """Lets nodes through a gate again and forgets its failures."""

    verb = _closed


class ResetGateView(FlipView):
    """Lets a gate begin anew: closed, its failures and its rate's past forgotten."""

    verb = reset


def present_gate(gate: Any) -> Shown:
    """Return a gate of `engine.gates.listed`."""
    has_rate = gate.rate_count is not None
    return {
        "key": gate.key,
        "breaker": gate.breaker,
        "blockedUntil": gate.blocked_until,
        "running": gate.running,
        "max": gate.max_running,
        "rate": {"count": gate.rate_count, "seconds": gate.rate_seconds} if has_rate else None,
        "failureThreshold": gate.failure_threshold,
        "successThreshold": gate.success_threshold,
        "cooldownSeconds": gate.cooldown_seconds,
        "failures": gate.failures,
        "successes": gate.successes,
        "updatedAt": gate.updated_at,
    }
