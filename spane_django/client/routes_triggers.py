"""The methods for what starts workflows; see `methods`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .answers import (
    Json,
    Reference,
)
from .answers_triggers import (
    Backfill,
    Delivery,
    Emission,
    EventTrigger,
    NextRuns,
    Schedule,
    ScheduledStart,
    Webhook,
    WholeDelivery,
    WorkflowTriggers,
)
from .exchange import Call
from .wire import given, ids, once

_EVENT_TRIGGER = "/api/triggers/events/{triggerId}"
_WEBHOOK = "/api/triggers/webhooks/{webhookId}"
_DELIVERY = "/api/triggers/deliveries/{deliveryId}"
_SCHEDULE = "/api/triggers/schedules/{scheduleId}"


def emit(
    name: str,
    payload: Json = None,
    *,
    key: str | None = None,
    subject: Mapping[str, str] | None = None,
    idempotency_key: str | None = None,
) -> Call[Emission]:
    """Say that something has happened; it starts what waits for such events.

    Args:
        subject: What it is about: ``{"type": "shop.order", "id": "7"}``.
        idempotency_key: As of `start`.
    """
    return Call(
        method="POST", path="/api/events/{eventName}", answer=Emission,
        ids=ids(event_name=name), body={"payload": payload, **given(key=key, subject=subject)},
        headers=once(idempotency_key),
    )  # fmt: skip


def workflow_triggers(workflow_id: str) -> Call[WorkflowTriggers]:
    """Return all that starts a workflow."""
    return Call(
        method="GET", path="/api/workflows/{workflowId}/triggers", answer=WorkflowTriggers,
        ids=ids(workflow_id=workflow_id),
    )  # fmt: skip


def event_triggers(*, event: str | None = None, workflow: str | None = None) -> Call[EventTrigger]:
    """Return the workflows that events start."""
    query = given(event=event, workflow=workflow)
    return Call(method="GET", path="/api/triggers/events", answer=EventTrigger, query=query)


def event_trigger(trigger_id: int) -> Call[EventTrigger]:
    """Return a workflow that an event starts."""
    where = ids(trigger_id=trigger_id)
    return Call(method="GET", path=_EVENT_TRIGGER, answer=EventTrigger, ids=where)


def create_event_trigger(fields: Mapping[str, Any]) -> Call[EventTrigger]:
    """Let an event start a workflow; the fields are those of the wire."""
    return Call(method="POST", path="/api/triggers/events", answer=EventTrigger, body=fields)


def change_event_trigger(trigger_id: int, fields: Mapping[str, Any]) -> Call[EventTrigger]:
    """Change how an event starts a workflow."""
    where = ids(trigger_id=trigger_id)
    return Call(method="PATCH", path=_EVENT_TRIGGER, answer=EventTrigger, ids=where, body=fields)


def delete_event_trigger(trigger_id: int) -> Call[None]:
    """Let an event start a workflow no more."""
    where = ids(trigger_id=trigger_id)
    return Call(method="DELETE", path=_EVENT_TRIGGER, answer=type(None), ids=where)


def webhooks(*, workflow: str | None = None, signature: str | None = None) -> Call[Webhook]:
    """Return the paths that start workflows."""
    query = given(workflow=workflow, signature=signature)
    return Call(method="GET", path="/api/triggers/webhooks", answer=Webhook, query=query)


def webhook(webhook_id: int) -> Call[Webhook]:
    """Return a path that starts a workflow."""
    where = ids(webhook_id=webhook_id)
    return Call(method="GET", path=_WEBHOOK, answer=Webhook, ids=where)


def create_webhook(fields: Mapping[str, Any]) -> Call[Webhook]:
    """Make a path that starts a workflow; the secret is in this answer only."""
    return Call(method="POST", path="/api/triggers/webhooks", answer=Webhook, body=fields)


def change_webhook(webhook_id: int, fields: Mapping[str, Any]) -> Call[Webhook]:
    """Change a path that starts a workflow."""
    where = ids(webhook_id=webhook_id)
    return Call(method="PATCH", path=_WEBHOOK, answer=Webhook, ids=where, body=fields)


def delete_webhook(webhook_id: int) -> Call[None]:
    """Close a path."""
    where = ids(webhook_id=webhook_id)
    return Call(method="DELETE", path=_WEBHOOK, answer=type(None), ids=where)


def rotate_webhook(webhook_id: int) -> Call[Webhook]:
    """Give a webhook a new secret, which is in this answer only."""
    where = ids(webhook_id=webhook_id)
    return Call(method="POST", path=f"{_WEBHOOK}/rotate", answer=Webhook, ids=where, body={})


def deliveries(
    webhook_id: int,
    *,
    status: str | None = None,
    received_since: datetime | None = None,
    received_until: datetime | None = None,
) -> Call[Delivery]:
    """Return the requests that came to a webhook, the newest first."""
    query = given(status=status, received_since=received_since, received_until=received_until)
    return Call(
        method="GET", path=f"{_WEBHOOK}/deliveries", answer=Delivery,
        ids=ids(webhook_id=webhook_id), query=query,
    )  # fmt: skip


def delivery(delivery_id: str) -> Call[WholeDelivery]:
    """Return a request that came to a webhook."""
    where = ids(delivery_id=delivery_id)
    return Call(method="GET", path=_DELIVERY, answer=WholeDelivery, ids=where)


def redeliver(delivery_id: str) -> Call[WholeDelivery]:
    """Take a request again."""
    where = ids(delivery_id=delivery_id)
    return Call(method="POST", path=f"{_DELIVERY}/redeliver", answer=WholeDelivery, ids=where)


def schedules(*, workflow: str | None = None) -> Call[Schedule]:
    """Return the workflows that time starts."""
    query = given(workflow=workflow)
    return Call(method="GET", path="/api/triggers/schedules", answer=Schedule, query=query)


def schedule(schedule_id: int) -> Call[Schedule]:
    """Return a workflow that time starts."""
    where = ids(schedule_id=schedule_id)
    return Call(method="GET", path=_SCHEDULE, answer=Schedule, ids=where)


def create_schedule(fields: Mapping[str, Any]) -> Call[Schedule]:
    """Let time start a workflow; the fields are those of the wire."""
    return Call(method="POST", path="/api/triggers/schedules", answer=Schedule, body=fields)


def change_schedule(schedule_id: int, fields: Mapping[str, Any]) -> Call[Schedule]:
    """Change when and how time starts a workflow."""
    where = ids(schedule_id=schedule_id)
    return Call(method="PATCH", path=_SCHEDULE, answer=Schedule, ids=where, body=fields)


def delete_schedule(schedule_id: int) -> Call[None]:
    """Let time start a workflow no more."""
    where = ids(schedule_id=schedule_id)
    return Call(method="DELETE", path=_SCHEDULE, answer=type(None), ids=where)


def pause_schedule(schedule_id: int, *, reason: str | None = None) -> Call[Schedule]:
    """Let a schedule start nothing until it is resumed."""
    return Call(
        method="POST", path=f"{_SCHEDULE}/pause", answer=Schedule,
        ids=ids(schedule_id=schedule_id), body=given(reason=reason),
    )  # fmt: skip


def resume_schedule(schedule_id: int, *, reason: str | None = None) -> Call[Schedule]:
    """Let a schedule go on."""
    return Call(
        method="POST", path=f"{_SCHEDULE}/resume", answer=Schedule,
        ids=ids(schedule_id=schedule_id), body=given(reason=reason),
    )  # fmt: skip


def run_schedule(schedule_id: int, *, idempotency_key: str | None = None) -> Call[Reference]:
    """Start a schedule's workflow now."""
    return Call(
        method="POST", path=f"{_SCHEDULE}/run", answer=Reference,
        ids=ids(schedule_id=schedule_id), headers=once(idempotency_key),
    )  # fmt: skip


def backfill_schedule(
    schedule_id: int, start: datetime, end: datetime, *, dry_run: bool = True
) -> Call[Backfill]:
    """Count the times of a range that have no execution, or start them."""
    return Call(
        method="POST", path=f"{_SCHEDULE}/backfill", answer=Backfill,
        ids=ids(schedule_id=schedule_id), body={**given(start=start, end=end), "dryRun": dry_run},
    )  # fmt: skip


def next_runs(schedule_id: int, *, count: int | None = None) -> Call[NextRuns]:
    """Return when a schedule will run."""
    return Call(
        method="GET", path=f"{_SCHEDULE}/next-runs", answer=NextRuns,
        ids=ids(schedule_id=schedule_id), query=given(count=count),
    )  # fmt: skip


def scheduled_starts(schedule_id: int) -> Call[ScheduledStart]:
    """Return what became of the times of a schedule, the newest first."""
    where = ids(schedule_id=schedule_id)
    return Call(method="GET", path=f"{_SCHEDULE}/starts", answer=ScheduledStart, ids=where)
