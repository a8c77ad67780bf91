"""Triggers that a definition declares: ``"triggers": [{"type": "schedule", "config": {...}}]``.

What starts workflows lives above the engine, in `spane_django.triggers`, which connects a kind
for each type.  Publishing asks the kinds what is wrong with what is declared; in the transaction
in which a version becomes current, each makes its rows what that version declares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from ..core.schema import Fault
from ..models import Workflow

Config = Mapping[str, Any]


class TriggerKind(Protocol):
    """One type of triggers."""

    def faults(self, config: Config, path: str) -> Iterable[Fault]:
        """Return what is wrong with the config of a trigger, whose path in the definition is."""

    def align(self, workflow: Workflow, configs: Sequence[Config], *, now: datetime) -> None:
        """Make the triggers that a workflow declares these, in the caller's transaction.

        Triggers made by hand are left alone.
        """


kinds: dict[str, TriggerKind] = {}


def trigger_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with the triggers of a definition, if they are a list of objects."""
    given = raw.get("triggers")
    for index, trigger in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(trigger, dict) or not isinstance(trigger.get("type"), str):
            continue
        kind = kinds.get(trigger["type"])
        if kind is None:
            message = f"there is no trigger '{trigger['type']}': use one of {', '.join(kinds)}"
            yield Fault(f"triggers[{index}].type", "unknown_trigger", message)
        elif isinstance(trigger.get("config", {}), dict):
            yield from kind.faults(trigger.get("config", {}), f"triggers[{index}].config")


def align_triggers(workflow: Workflow, raw: Mapping[str, Any] | None, *, now: datetime) -> None:
    """Make the triggers of a workflow those of its current definition.

    Args:
        raw: The definition; None: the workflow is archived and declares none.
    """
    declared = (raw or {}).get("triggers", ())
    for name, kind in kinds.items():
        configs = [trigger.get("config", {}) for trigger in declared if trigger["type"] == name]
        kind.align(workflow, configs, now=now)
