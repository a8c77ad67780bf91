"""Durable workflow orchestration for any Django project.

What a project needs is exported here, and imported only when it is asked for: Django imports
this package while it reads ``INSTALLED_APPS``, when no model may be imported yet.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .authoring import (
        Step,
        Workflow,
        activate_version,
        approve,
        archive_version,
        archive_workflow,
        backfill_schedule,
        body,
        bulk,
        bulk_count,
        cancel,
        compare_versions,
        complete,
        delete_schedule,
        delete_secret,
        discard_dead_letter,
        discard_draft,
        flip_gate,
        migrate,
        next_runs,
        pause,
        pause_schedule,
        preview_migration,
        publish,
        publish_draft,
        reassign,
        reassign_approval,
        register,
        reject,
        replay,
        rerun_from,
        resume,
        resume_schedule,
        retry,
        retry_dead_letter,
        retry_now,
        run_schedule,
        save_draft,
        schedule,
        set_secret,
        signal,
        skip,
        start,
        start_many,
        wait_for,
        workflows,
    )
    from .core.errors import InvalidDefinition, InvalidInput, SpaneError
    from .core.limits import Breaker, BreakerStatus, Limit, Rate
    from .core.outcome import (
        AskApproval,
        Child,
        Delay,
        Permanent,
        Result,
        RetryAfter,
        StartChildren,
        WaitFor,
    )
    from .core.retry import Backoff, Retry
    from .core.schema import Fault
    from .core.starting import DuplicateRule, MaxExecutions, OnDuplicate, Overflow
    from .core.triggers import OnEvent, OnWorkflow
    from .engine.admission import NoRoom
    from .engine.duplicates import DuplicateExecution
    from .models import Schedule
    from .nodes import Context, Node, node, register_function
    from .subjects import SpaneExecutions
    from .triggers.changes import ModelTrigger, TriggeringQuerySet
    from .triggers.events import Emission, emit
    from .triggers.solar import Solar

__version__ = "0.1.0"

__all__ = [
    "AskApproval",
    "Backoff",
    "Breaker",
    "BreakerStatus",
    "Child",
    "Context",
    "Delay",
    "DuplicateExecution",
    "DuplicateRule",
    "Emission",
    "Fault",
    "InvalidDefinition",
    "InvalidInput",
    "Limit",
    "MaxExecutions",
    "ModelTrigger",
    "NoRoom",
    "Node",
    "OnDuplicate",
    "OnEvent",
    "OnWorkflow",
    "Overflow",
    "Permanent",
    "Rate",
    "Result",
    "Retry",
    "RetryAfter",
    "Schedule",
    "Solar",
    "SpaneError",
    "SpaneExecutions",
    "StartChildren",
    "Step",
    "TriggeringQuerySet",
    "WaitFor",
    "Workflow",
    "activate_version",
    "approve",
    "archive_version",
    "archive_workflow",
    "backfill_schedule",
    "body",
    "bulk",
    "bulk_count",
    "cancel",
    "compare_versions",
    "complete",
    "delete_schedule",
    "delete_secret",
    "discard_dead_letter",
    "discard_draft",
    "emit",
    "flip_gate",
    "migrate",
    "next_runs",
    "node",
    "pause",
    "pause_schedule",
    "preview_migration",
    "publish",
    "publish_draft",
    "reassign",
    "reassign_approval",
    "register",
    "register_function",
    "reject",
    "replay",
    "rerun_from",
    "resume",
    "resume_schedule",
    "retry",
    "retry_dead_letter",
    "retry_now",
    "run_schedule",
    "save_draft",
    "schedule",
    "set_secret",
    "signal",
    "skip",
    "start",
    "start_many",
    "wait_for",
    "workflows",
]

_MODULES = {
    "emit": "triggers.events",
    "TriggeringQuerySet": "triggers.changes",
    "SpaneExecutions": "subjects",
    "OnWorkflow": "core.triggers",
    "OnEvent": "core.triggers",
    "ModelTrigger": "triggers.changes",
    "Emission": "triggers.events",
    "AskApproval": "core.outcome",
    "Backoff": "core.retry",
    "Breaker": "core.limits",
    "BreakerStatus": "core.limits",
    "Child": "core.outcome",
    "Context": "nodes",
    "Delay": "core.outcome",
    "DuplicateExecution": "engine.duplicates",
    "DuplicateRule": "core.starting",
    "Fault": "core.schema",
    "InvalidDefinition": "core.errors",
    "InvalidInput": "core.errors",
    "Limit": "core.limits",
    "MaxExecutions": "core.starting",
    "NoRoom": "engine.admission",
    "Node": "nodes",
    "OnDuplicate": "core.starting",
    "Overflow": "core.starting",
    "Permanent": "core.outcome",
    "Rate": "core.limits",
    "Result": "core.outcome",
    "Retry": "core.retry",
    "RetryAfter": "core.outcome",
    "Schedule": "models",
    "Solar": "triggers.solar",
    "SpaneError": "core.errors",
    "StartChildren": "core.outcome",
    "WaitFor": "core.outcome",
    "node": "nodes",
    "register_function": "nodes",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES.get(name, 'authoring')}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
