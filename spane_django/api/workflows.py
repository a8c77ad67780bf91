"""Workflows over HTTP: register, read, check, execute."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import F
from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.json import Json
from ..core.options import DEFINITION_SCHEMA
from ..core.schema import Fault, Schema
from ..core.starting import KEY_LENGTH, OnDuplicate
from ..engine.advice import advice
from ..engine.drafts import archive_workflow
from ..engine.naming import of_workflow
from ..engine.publish import publish, validate
from ..engine.start import StartOptions, UnknownWorkflow, start
from ..models import WorkflowVersion
from .auth import user_of
from .base import EngineView
from .errors import present_faults
from .examples import REGISTERED, START, STARTED, WORKFLOW
from .openapi import ACCEPTED, IDEMPOTENCY, example, extend_schema, header, sent
from .shapes import ReferenceShape
from .shapes_workflows import CheckedShape, DefinitionShape, RegisteredShape
from .wire import body_of, header_of

# Ten years: longer is a mistake, and far from where instants end.
_LONGEST_DELAY_MS = 315_360_000_000

_KEY: Schema = {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH}
EXECUTE: Schema = {
    "type": "object",
    "properties": {
        "initialData": {},
        "priority": {"type": "integer", "minimum": 1, "maximum": 10},
        "delay": {"type": "number", "minimum": 0, "maximum": _LONGEST_DELAY_MS},
        "key": _KEY,
        "onDuplicate": {"enum": [action.value for action in OnDuplicate]},
        "duplicateKey": _KEY,
        "debounce": {"type": "number", "exclusiveMinimum": 0, "maximum": _LONGEST_DELAY_MS},
    },
    "additionalProperties": False,
}


class WorkflowsView(EngineView):
    """Registers definitions: 201 for a new version, 200 if the current one has this content."""

    permissions = {"POST": "spane_django.publish_workflow"}

    @extend_schema(
        operation_id="register",
        summary="Register a definition",
        request=DEFINITION_SCHEMA,
        responses={200: RegisteredShape, 201: RegisteredShape},
        parameters=[header("Location", "Where the workflow is found.", on=[200, 201])],
        examples=[sent("A greeting", WORKFLOW), example("The version", REGISTERED, on=201)],
    )
    def post(self, request: Request) -> Response:
        now = current_time()
        raw: Any = request.data
        version = publish(raw, now=now, by=user_of(request), tenant=self.tenant)
        key = version.workflow.key
        location = reverse("spane_django:workflow", args=[key])
        return Response(
            {"workflowId": key, "version": version.number},
            status=201 if version.published_at == now else 200,
            headers={"Location": location},
        )


class WorkflowView(EngineView):
    """Gives the current definition back as it was registered, or archives the workflow."""

    permissions = {
        "GET": "spane_django.view_workflow",
        "DELETE": "spane_django.publish_workflow",
    }

    @extend_schema(
        summary="Read the current definition",
        responses=DefinitionShape,
        examples=[example("A greeting", WORKFLOW)],
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        return Response(_current(workflow_id, self.tenant).definition)

    @extend_schema(summary="Archive a workflow", responses={204: None})
    def delete(self, request: Request, workflow_id: str) -> Response:
        archive_workflow(workflow_id, now=current_time(), by=user_of(request), tenant=self.tenant)
        return Response(status=204)


class ValidateView(EngineView):
    """Checks a definition as registering it would, and stores nothing."""

    permissions = {"POST": "spane_django.publish_workflow"}

    @extend_schema(request={}, responses=CheckedShape, examples=[sent("A greeting", WORKFLOW)])
    def post(self, request: Request, workflow_id: str) -> Response:
        faults = [
            *id_faults(request.data, workflow_id),
            *validate(request.data, against_published=True, tenant=self.tenant)[1],
        ]
        warnings = [] if faults else advice(request.data, tenant=self.tenant)
        return Response(
            {
                "valid": not faults,
                "details": list(present_faults(faults)),
                "warnings": list(present_faults(warnings)),
            }
        )


class ExecuteView(EngineView):
    """Starts an execution of the current version: 202, or 200 with one like it that is there."""

    permissions = {"POST": "spane_django.run_workflow"}

    @extend_schema(
        request=EXECUTE,
        responses={200: ReferenceShape, 202: ReferenceShape},
        parameters=[IDEMPOTENCY, ACCEPTED],
        examples=[sent("An input", START), example("What was started", STARTED, on=202)],
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        now = current_time()
        body = body_of(request, EXECUTE)
        options = _options(request, body, self.tenant, now=now)
        execution = start(workflow_id, body.get("initialData"), now=now, options=options)
        was_there = execution.created_at < now and options.idempotency_key is None
        return accepted(execution.pk, status=200 if was_there else 202)


def accepted(execution_id: Any, *, status: int = 202) -> Response:
    """Return the answer to a start: where the execution will be found."""
    location = reverse("spane_django:execution", args=[execution_id])
    return Response({"executionId": execution_id}, status=status, headers={"Location": location})


def id_faults(raw: Json, workflow_id: str) -> list[Fault]:
    """Return what is wrong if a definition is sent to the address of another workflow."""
    if not isinstance(raw, dict) or raw.get("id") in (None, workflow_id):
        return []
    message = f"the definition is of '{raw['id']}', the address of '{workflow_id}'"
    return [Fault("id", "other_id", message)]


def _options(
    request: Request, body: dict[str, Json], tenant: str, *, now: datetime
) -> StartOptions:
    delay, priority, debounce = body.get("delay"), body.get("priority"), body.get("debounce")
    return StartOptions(
        priority=None if priority is None else int(priority),
        start_at=now + timedelta(milliseconds=delay) if delay else None,
        trigger="api",
        idempotency_key=header_of(request, "Idempotency-Key", longest=KEY_LENGTH),
        key=body.get("key"),
        on_duplicate=body.get("onDuplicate"),
        duplicate_key=body.get("duplicateKey"),
        debounce=timedelta(milliseconds=debounce) if debounce else None,
        by=user_of(request),
        tenant=tenant,
    )


def _current(workflow_id: str, tenant: str) -> WorkflowVersion:
    current = WorkflowVersion.objects.filter(workflow__current_version_id=F("pk"))
    version = current.filter(of_workflow(workflow_id, tenant)).first()
    if version is None:
        raise UnknownWorkflow(f"Workflow '{workflow_id}' not found: register its definition first")
    return version
