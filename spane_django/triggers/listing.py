"""Everything that starts workflows by itself, in one list: for people who ask why one has started.

Event triggers and ends of workflows are rows; model triggers are declared in the code of this
process.  Webhooks and schedules are listed from their own tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..engine.scope import EVERYTHING, Scope
from ..models import Schedule, Trigger, Webhook
from .changes import ModelTrigger
from .timing import describe
from .watching import model_triggers


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Something that starts a workflow.

    Attributes:
        type: ``event``, ``workflow``, ``model``, ``webhook`` or ``schedule``.
        says: When it starts the workflow, for people.
        id: Of its row; None: it has none.
    """

    type: str
    says: str
    workflow: str
    tenant: str = ""
    is_enabled: bool = True
    is_declared: bool = False
    id: int | None = None
    last_error: str = ""


def listed(scope: Scope = EVERYTHING, workflow: str | None = None) -> Iterator[Listed]:
    """Yield what starts workflows.

    Args:
        scope: Whose rows are seen.
        workflow: The id of the only workflow that counts; None: all.
    """
    yield from map(_of_row, _rows(scope, workflow))
    yield from (_of_model(one) for one in model_triggers() if workflow in (None, one.workflow_id))
    yield from map(_of_webhook, _webhooks(scope, workflow))
    yield from map(_of_schedule, _schedules(scope, workflow))


def _rows(scope: Scope, workflow: str | None) -> Iterable[Trigger]:
    rows = scope.within(Trigger.objects.select_related("workflow"))
    return rows if workflow is None else rows.filter(workflow__key=workflow)


def _webhooks(scope: Scope, workflow: str | None) -> Iterable[Webhook]:
    rows = scope.within(Webhook.objects.filter(is_retired=False).order_by("id"))
    return rows if workflow is None else rows.filter(workflow_key=workflow)


def _schedules(scope: Scope, workflow: str | None) -> Iterable[Schedule]:
    rows = scope.within(Schedule.objects.whole().order_by("id"))
    return rows if workflow is None else rows.filter(workflow__key=workflow)


def _of_row(trigger: Trigger) -> Listed:
    is_event = trigger.kind == Trigger.Kind.EVENT
    what = f"the event {trigger.name}" if is_event else f"'{trigger.name}' has {_ended(trigger.on)}"
    condition = f" and {trigger.when}" if trigger.when else ""
    return Listed(
        type=trigger.kind,
        says=what + condition,
        workflow=trigger.workflow.key,
        tenant=trigger.tenant,
        is_enabled=trigger.is_enabled,
        is_declared=trigger.is_declared,
        id=trigger.pk,
        last_error=trigger.last_error,
    )


def _ended(on: str) -> str:
    return "been cancelled" if on == "cancelled" else on


def _of_model(trigger: ModelTrigger) -> Listed:
    fields = f" ({', '.join(trigger.fields)})" if trigger.fields else ""
    return Listed(
        type="model",
        says=f"{trigger.on} of {trigger.model._meta.label}{fields}",
        workflow=trigger.workflow_id,
        is_declared=True,
    )


def _of_webhook(webhook: Webhook) -> Listed:
    return Listed(
        type="webhook",
        says=f"{', '.join(webhook.methods)} {webhook.shown_path}",
        workflow=webhook.workflow_key,
        tenant=webhook.tenant,
        is_enabled=webhook.is_enabled,
        is_declared=bool(webhook.declared),
        id=webhook.pk,
    )


def _of_schedule(schedule: Schedule) -> Listed:
    return Listed(
        type="schedule",
        says=describe(schedule),
        workflow=schedule.workflow.key,
        tenant=schedule.tenant,
        is_enabled=not schedule.is_paused,
        is_declared=bool(schedule.declared),
        id=schedule.pk,
    )
