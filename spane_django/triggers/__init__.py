"""Triggers start things: webhooks, schedules, events and changes of models.

Each calls the engine's verbs, as code, the API and operators do; the engine knows none of them.
What a definition declares under ``triggers`` is handed by `engine.declared` to the kinds that are
connected here.  What the end of another workflow starts is declared here like any other trigger
and started by the engine, in the transaction of that end (`engine.sequels`).
"""

from __future__ import annotations

from ..engine import declared
from .declared_schedules import ScheduleKind
from .declared_webhooks import WebhookKind
from .listeners import EVENTS, WORKFLOWS


def connect() -> None:
    """Tell the engine which kinds of triggers definitions may declare."""
    declared.kinds["event"] = EVENTS
    declared.kinds["workflow"] = WORKFLOWS
    declared.kinds["webhook"] = WebhookKind()
    declared.kinds["schedule"] = ScheduleKind()
