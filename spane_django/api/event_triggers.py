"""Events over HTTP: emitting them, and the triggers that hear them."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.schema import Schema
from ..core.starting import KEY_LENGTH
from ..engine.naming import named
from ..engine.start import UnknownWorkflow
from ..models import Trigger
from ..triggers.event_triggers import (
    EVENT_TRIGGER,
    NEW_EVENT_TRIGGER,
    UnknownTrigger,
    change,
    create,
    delete,
    facts_of,
)
from ..triggers.events import Event, emit_by_hand
from ..triggers.listing import listed
from .auth import user_of
from .base import EngineView, row_key
from .filters import filtered
from .filtersets import EventTriggerFilters
from .openapi import IDEMPOTENCY, example, extend_schema, object_of, page_of, sent
from .pages import page
from .shapes_triggers import EmissionShape, EventTriggerShape, WorkflowTriggersShape
from .wire import body_of, header_of

SUBJECT: Schema = {
    **object_of(
        {
            "type": {
                "type": "string", "maxLength": 200,
                "pattern": r"^[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*$",
            },
            "id": {"type": "string", "minLength": 1, "maxLength": 100},
        },
        "type", "id",
    ),
    "description": "The business object that it is about: the label of its model, and its key.",
}  # fmt: skip
EMIT: Schema = object_of(
    {
        "payload": {},
        "key": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH},
        "subject": SUBJECT,
    }
)
_PAID = {"payload": {"id": 7, "total": 120}, "subject": {"type": "shop.order", "id": "7"}}
_LED_TO = {
    "event": "order.paid",
    "executionIds": ["0199c0de-7a11-7000-8000-000000000000"],
    "refused": [],
}
_TRIGGER = {
    "event": "order.paid",
    "workflowId": "ship-order",
    "when": "total > `100`",
    "map": {"order": "id"},
}


class EmitView(EngineView):
    """Emits an event: every workflow that listens for it starts."""

    permissions = {"POST": "spane_django.run_workflow"}

    @extend_schema(
        request=EMIT,
        responses={202: EmissionShape},
        parameters=[IDEMPOTENCY],
        examples=[sent("An order is paid", _PAID), example("It started one", _LED_TO, on=202)],
    )
    def post(self, request: Request, event_name: str) -> Response:
        body = body_of(request, EMIT)
        subject = body.get("subject", {})
        event = Event(
            name=event_name,
            payload=body.get("payload"),
            tenant=self.tenant,
            subject=(subject.get("type", ""), subject.get("id", "")),
            key=body.get("key"),
            idempotency_key=header_of(request, "Idempotency-Key", longest=KEY_LENGTH),
            by=user_of(request),
        )
        emission = emit_by_hand(event, now=current_time())
        refused = [
            {"triggerId": one.trigger_id, "workflowId": one.workflow, "message": one.error}
            for one in emission.refused
        ]
        shown = {"event": event_name, "executionIds": emission.executions, "refused": refused}
        return Response(shown, status=202)


class _TriggerView(EngineView):
    """A view of event triggers that the request may see."""

    def found(self, given: str) -> Trigger:
        """Return a trigger by its id as it stands in a URL.

        Raises:
            UnknownTrigger: there is none, or it is another tenant's.
        """
        key = row_key(given)
        trigger = None if key is None else self.triggers().filter(pk=key).first()
        if trigger is None:
            raise UnknownTrigger(f"there is no event trigger '{given[:100]}'")
        return trigger

    def triggers(self) -> QuerySet[Trigger]:
        return self.scope.within(Trigger.objects.events().select_related("workflow"))


class EventTriggersView(_TriggerView):
    """Lists event triggers, and makes new ones."""

    permissions = {"GET": "spane_django.view_trigger", "POST": "spane_django.add_trigger"}
    filterset_class = EventTriggerFilters
    is_paged = True

    @extend_schema(summary="List event triggers", responses=page_of(EventTriggerShape))
    def get(self, request: Request) -> Response:
        chosen = filtered(request, EventTriggerFilters, self.triggers())
        return page(request, chosen, shown, ordering=("-id",))

    @extend_schema(
        summary="Make an event trigger",
        request=NEW_EVENT_TRIGGER,
        responses={201: EventTriggerShape},
        examples=[sent("Dear orders", _TRIGGER)],
    )
    def post(self, request: Request) -> Response:
        trigger = create(request.data, now=current_time(), tenant=self.tenant, by=user_of(request))
        return Response(shown(trigger), status=201)


class EventTriggerView(_TriggerView):
    """Shows, changes or deletes an event trigger."""

    permissions = {
        "GET": "spane_django.view_trigger",
        "PATCH": "spane_django.change_trigger",
        "DELETE": "spane_django.delete_trigger",
    }

    @extend_schema(summary="Show an event trigger", responses=EventTriggerShape)
    def get(self, request: Request, trigger_id: str) -> Response:
        return Response(shown(self.found(trigger_id)))

    @extend_schema(
        summary="Change an event trigger", request=EVENT_TRIGGER, responses=EventTriggerShape
    )
    def patch(self, request: Request, trigger_id: str) -> Response:
        found = self.found(trigger_id)
        changed = change(found.pk, request.data, now=current_time(), by=user_of(request))
        return Response(shown(changed))

    @extend_schema(summary="Delete an event trigger", responses={204: None})
    def delete(self, request: Request, trigger_id: str) -> Response:
        delete(self.found(trigger_id).pk, now=current_time(), by=user_of(request))
        return Response(status=204)


class WorkflowTriggersView(EngineView):
    """Lists all that starts a workflow by itself: events, ends, models, webhooks, schedules."""

    permissions = {"GET": "spane_django.view_trigger"}

    @extend_schema(responses=WorkflowTriggersShape)
    def get(self, request: Request, workflow_id: str) -> Response:
        if not self.scope.within(named(workflow_id, self.tenant)).exists():
            raise UnknownWorkflow(f"Workflow '{workflow_id[:100]}' not found")
        results = [
            {
                "type": one.type,
                "id": one.id,
                "says": one.says,
                "workflowId": one.workflow,
                "enabled": one.is_enabled,
                "declared": one.is_declared,
            }
            for one in listed(self.scope, workflow_id)
        ]
        return Response({"results": results})


def shown(trigger: Trigger) -> dict[str, Any]:
    """Return a trigger as it goes over the wire."""
    return {
        "id": trigger.pk,
        **facts_of(trigger),
        "declared": trigger.is_declared,
        "createdAt": trigger.created_at,
        "failures": trigger.failures,
        "lastError": trigger.last_error,
        "failedAt": trigger.failed_at,
    }
