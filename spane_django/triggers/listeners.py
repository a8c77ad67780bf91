"""Listeners that a definition declares: events and ends of workflows that start it, as rows.

They are written in the transaction that makes a version current, so that an event finds at any
instant what the current versions say.  A trigger that the version before said in the same words
stays as it is, switched off if somebody did so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..core.schema import Fault
from ..core.triggers import ENDINGS, config_faults
from ..models import Trigger, Workflow


@dataclass(frozen=True, slots=True)
class Listeners:
    """The triggers of type ``event``, or ``workflow``; see `engine.declared.TriggerKind`."""

    kind: Trigger.Kind

    def faults(self, config: Mapping[str, Any], path: str) -> Iterable[Fault]:
        """Return what is wrong with a config."""
        return config_faults(self.kind.value, config, path)

    def align(
        self, workflow: Workflow, configs: Sequence[Mapping[str, Any]], *, now: datetime
    ) -> None:
        """Make the declared triggers of a workflow these."""
        new = {_words(row): row for row in (self._row(workflow, one, now) for one in configs)}
        rows = workflow.triggers.filter(is_declared=True, kind=self.kind)
        known = {_words(row): row for row in rows}
        gone = [row.pk for words, row in known.items() if words not in new]
        if gone:
            Trigger.objects.filter(pk__in=gone).delete()
        if missing := [row for words, row in new.items() if words not in known]:
            Trigger.objects.bulk_create(missing)

    def _row(self, workflow: Workflow, config: Mapping[str, Any], now: datetime) -> Trigger:
        is_event = self.kind is Trigger.Kind.EVENT
        return Trigger(
            kind=self.kind,
            name=config["event"] if is_event else config["workflowId"],
            on="" if is_event else config.get("on", ENDINGS[0]),
            when=config.get("when", ""),
            map=config.get("map"),
            workflow=workflow,
            tenant=workflow.tenant,
            is_declared=True,
            created_at=now,
        )


EVENTS = Listeners(Trigger.Kind.EVENT)
WORKFLOWS = Listeners(Trigger.Kind.WORKFLOW)


def _words(row: Trigger) -> str:
    """Return what makes a trigger the same as one of another version."""
    return json.dumps([row.name, row.on, row.when, row.map], sort_keys=True)
