"""Declared triggers: what the current version of a workflow says starts it, as rows.

Whatever makes a version current, or the workflow to have none, calls :func:`declare` in its
transaction, so that an event finds at any instant what the current versions say.  A trigger that
the version before said in the same words stays as it is, switched off if somebody did so.
"""

from __future__ import annotations

import json
from datetime import datetime

from ..core.definition import Definition
from ..core.triggers import Declared, OnEvent
from ..models import Trigger, Workflow


def declare(workflow: Workflow, definition: Definition | None, *, now: datetime) -> None:
    """Make the declared triggers of a workflow those of a definition; None: it has none.

    Locks:
        Nothing: the caller holds the workflow's.
    """
    wanted = [_row(workflow, one, now=now) for one in definition.triggers] if definition else []
    known = {_words(row): row for row in workflow.triggers.filter(is_declared=True)}
    new = {_words(row): row for row in wanted}
    gone = [row.pk for words, row in known.items() if words not in new]
    if gone:
        Trigger.objects.filter(pk__in=gone).delete()
    Trigger.objects.bulk_create(row for words, row in new.items() if words not in known)


def _row(workflow: Workflow, said: Declared, *, now: datetime) -> Trigger:
    is_event = isinstance(said, OnEvent)
    return Trigger(
        kind=Trigger.Kind.EVENT if is_event else Trigger.Kind.WORKFLOW,
        name=said.event if isinstance(said, OnEvent) else said.workflow,
        on="" if isinstance(said, OnEvent) else said.on,
        when=said.when or "",
        map=said.map,
        workflow=workflow,
        tenant=workflow.tenant,
        is_declared=True,
        created_at=now,
    )


def _words(row: Trigger) -> str:
    """Return what makes a trigger the same as one of another version."""
    return json.dumps([row.kind, row.name, row.on, row.when, row.map], sort_keys=True)
