"""Gates: limits with who holds them, and circuit breakers that operators open and close."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from ..clock import now as current_time
from ..core.limits import BreakerStatus
from ..engine.gates import FOREVER, flip, listed, reset
from ..models import Gate, NodeRun
from .base import scope_in
from .present import chip, code, instant, length, page_of
from .timeline import ran
from .verbs import Order, Verb, VerbsAdmin

_HOLDERS = 50
_COLOURS: dict[str, str] = {
    Gate.Breaker.CLOSED: "completed",
    Gate.Breaker.OPEN: "failed",
    Gate.Breaker.HALF_OPEN: "waiting",
}


def _open(key: str, order: Order) -> Gate:
    return flip(key, BreakerStatus.OPEN, now=order.now, by=order.by, reason=order.reason)


def _close(key: str, order: Order) -> Gate:
    return flip(key, BreakerStatus.CLOSED, now=order.now, by=order.by, reason=order.reason)


def _reset(key: str, order: Order) -> Gate:
    return reset(key, now=order.now, by=order.by, reason=order.reason)


OPEN = Verb(
    name="open",
    label=_("Open the breaker"),
    done=ngettext_lazy(
        "%(count)d gate lets nothing through.", "%(count)d gates let nothing through.", "count"
    ),
    permission="flip_gate",
    apply=_open,
    is_legal=lambda gate: gate.breaker != Gate.Breaker.OPEN or gate.blocked_until != FOREVER,
    warning=_(
        "Nodes wait in front of an open breaker, without using up their retries, until "
        "somebody closes it."
    ),
    takes_reason=True,
)
CLOSE = Verb(
    name="close",
    label=_("Close the breaker"),
    done=ngettext_lazy("%(count)d breaker was closed.", "%(count)d breakers were closed.", "count"),
    permission="flip_gate",
    apply=_close,
    is_legal=lambda gate: gate.breaker != Gate.Breaker.CLOSED,
)
RESET = Verb(
    name="reset",
    label=_("Reset"),
    done=ngettext_lazy("%(count)d gate begins anew.", "%(count)d gates begin anew.", "count"),
    permission="flip_gate",
    apply=_reset,
    is_legal=lambda gate: True,
    warning=_("Failures and the past of the rate are forgotten, and the breaker is closed."),
    takes_reason=True,
)


@admin.register(Gate)
class GateAdmin(VerbsAdmin):
    """What limits nodes: a type, a name or a key; and its breaker."""

    list_display = ("identity", "standing", "held", "rate", "failures", "blocked")
    list_filter = ("breaker",)
    search_fields = ("key",)
    ordering = ("key",)
    verbs = (OPEN, CLOSE, RESET)
    fields = ("held", "rate", "failures", "failure_threshold", "cooldown", "blocked")
    empty_hint = _("No node has come to a limit or a breaker yet. A definition declares them:")
    empty_command = '"limit": {"max": 5, "rate": "100/m"}, "circuitBreaker": {"failures": 5}'

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return scope_in(request).within(listed())

    def page(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        now = current_time()
        runs = NodeRun.objects.running().exclude(gate="").filter(gate=obj.pk)
        runs = runs.only("node_id", "execution_id", "status", "started_at", "finished_at")
        return {
            **super().page(request, obj),
            "holders": [
                (run, page_of(NodeRun, run.pk, self.site), length(ran(run, now)))
                for run in runs.order_by("id")[:_HOLDERS]
            ],
        }

    @admin.display(description=_("gate"))
    def identity(self, gate: Gate) -> SafeString:
        return code(gate.key)

    @admin.display(description=_("breaker"))
    def standing(self, gate: Gate) -> SafeString:
        return chip(_COLOURS[gate.breaker], gate.get_breaker_display())

    @admin.display(description=_("running"))
    def held(self, gate: Any) -> str:
        return f"{gate.running} / {gate.max_running or '∞'}"

    @admin.display(description=_("rate"))
    def rate(self, gate: Gate) -> str | None:
        if gate.rate_count is None or gate.rate_seconds is None:
            return None
        return f"{gate.rate_count} / {gate.rate_seconds:g} s"

    @admin.display(description=_("cool-down"))
    def cooldown(self, gate: Gate) -> str | None:
        return None if gate.failure_threshold is None else f"{gate.cooldown_seconds:g} s"

    @admin.display(description=_("nothing starts before"))
    def blocked(self, gate: Gate) -> Any:
        if gate.blocked_until == FOREVER:
            return _("somebody closes it")
        is_ahead = gate.blocked_until is not None and gate.blocked_until > current_time()
        return instant(gate.blocked_until) if is_ahead else None
