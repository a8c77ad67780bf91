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
from ..dispatch.waiting import wait_for_end
from ..engine.advice import advice
from ..engine.amend import AMENDABLE, amend
from ..engine.audit import record_start
from ..engine.db import atomic
from ..engine.drafts import archive_workflow
from ..engine.naming import of_workflow
from ..engine.publish import publish, validate
from ..engine.start import StartOptions, UnknownWorkflow, start
from ..models import Workflow, WorkflowVersion
from .auth import user_of
from .base import EngineView
from .errors import present_faults
from .examples import AMENDED, ENDED, PAGE, REGISTERED, START, STARTED, SUMMARY, WORKFLOW
from .filters import filtered
from .filtersets import WorkflowFilters
from .openapi import ACCEPTED, IDEMPOTENCY, example, extend_schema, header, object_of, page_of, sent
from .pages import page
from .shapes import EndedShape, ReferenceShape
from .shapes_workflows import CheckedShape, DefinitionShape, RegisteredShape, WorkflowShape
from .waiting import WAIT, ended, seconds_to_wait
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


AMEND = object_of(
    {
        "isEnabled": {"type": "boolean"},
        **AMENDABLE,
        "reason": {"type": "string", "maxLength": 1_000},
    }
)


class WorkflowsView(EngineView):
    """Lists workflows; registers definitions: 201 a new version, 200 it is the current one."""

    permissions = {
        "GET": "spane_django.view_workflow",
        "POST": "spane_django.publish_workflow",
    }
    filterset_class = WorkflowFilters
    is_paged = True

    @extend_schema(
        summary="List workflows",
        responses=page_of(WorkflowShape),
        examples=[example("One workflow", {**PAGE, "results": [SUMMARY]})],
    )
    def get(self, request: Request) -> Response:
        workflows = Workflow.objects.select_related("current_version")
        workflows = workflows.defer("current_version__definition")
        chosen = filtered(request, WorkflowFilters, self.scope.within(workflows))
        return page(request, chosen, present_workflow, ordering=("key", "id"))

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
        "PATCH": "spane_django.publish_workflow",
        "DELETE": "spane_django.publish_workflow",
    }

    @extend_schema(
        summary="Read the current definition",
        responses=DefinitionShape,
        examples=[example("A greeting", WORKFLOW)],
    )
    def get(self, request: Request, workflow_id: str) -> Response:
        return Response(current_of(workflow_id, self.tenant).definition)

    @extend_schema(
        summary="Enable, disable or tune a workflow",
        request=AMEND,
        responses=WorkflowShape,
        examples=[sent("Fewer at once", AMENDED), example("As it is now", SUMMARY)],
    )
    def patch(self, request: Request, workflow_id: str) -> Response:
        body = body_of(request, AMEND)
        is_enabled, reason = body.pop("isEnabled", None), body.pop("reason", "")
        who = {"now": current_time(), "by": user_of(request), "reason": reason}
        changed = amend(workflow_id, body, is_enabled=is_enabled, tenant=self.tenant, **who)
        return Response(present_workflow(changed))

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
    """Starts an execution of the current version: 202, or 200 with one like it that is there.

    With ``?wait=`` the answer comes when the execution has ended, 200 with what it came to, or
    when the time is over, 202.  If too many wait already, it comes at once.
    """

    permissions = {"POST": "spane_django.run_workflow"}

    @extend_schema(
        request=EXECUTE,
        responses={200: EndedShape, 202: ReferenceShape},
        parameters=[IDEMPOTENCY, WAIT, ACCEPTED],
        examples=[
            sent("An input", START),
            example("What it came to", ENDED),
            example("What was started", STARTED, on=202),
        ],
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        now, seconds = current_time(), seconds_to_wait(request)
        body = body_of(request, EXECUTE)
        options = start_options(request, body, self.tenant, now=now)
        with atomic():
            execution = start(workflow_id, body.get("initialData"), now=now, options=options)
            if execution.created_at == now:
                by, tenant = user_of(request), self.tenant
                record_start(workflow_id, [execution.pk], now=now, by=by, tenant=tenant)
        if seconds and wait_for_end(execution.pk, seconds=seconds):
            return ended(request, execution.pk)
        was_there = execution.created_at < now and options.idempotency_key is None
        return accepted(execution.pk, status=200 if was_there else 202)


def accepted(execution_id: Any, *, status: int = 202) -> Response:
    """Return the answer to a start: where the execution will be found."""
    location = reverse("spane_django:execution", args=[execution_id])
    return Response({"executionId": execution_id}, status=status, headers={"Location": location})


def present_workflow(workflow: Workflow) -> dict[str, Any]:
    """Return a workflow as lists have it; its current version is at hand."""
    current = workflow.current_version
    return {
        "workflowId": workflow.key,
        "name": workflow.name,
        "description": workflow.description,
        "isEnabled": workflow.is_enabled,
        "version": current.number if current else None,
        "tenant": workflow.tenant or None,
        "createdAt": workflow.created_at,
        "publishedAt": current.published_at if current else None,
    }


def id_faults(raw: Json, workflow_id: str) -> list[Fault]:
    """Return what is wrong if a definition is sent to the address of another workflow."""
    if not isinstance(raw, dict) or raw.get("id") in (None, workflow_id):
        return []
    message = f"the definition is of '{raw['id']}', the address of '{workflow_id}'"
    return [Fault("id", "other_id", message)]


def start_options(
    request: Request,
    body: dict[str, Json],
    tenant: str,
    *,
    now: datetime,
    longest_key: int = KEY_LENGTH,
) -> StartOptions:
    """Return how a request wants something started."""
    delay, priority, debounce = body.get("delay"), body.get("priority"), body.get("debounce")
    return StartOptions(
        priority=None if priority is None else int(priority),
        start_at=now + timedelta(milliseconds=delay) if delay else None,
        trigger="api",
        idempotency_key=header_of(request, "Idempotency-Key", longest=longest_key),
        key=body.get("key"),
        on_duplicate=body.get("onDuplicate"),
        duplicate_key=body.get("duplicateKey"),
        debounce=timedelta(milliseconds=debounce) if debounce else None,
        by=user_of(request),
        tenant=tenant,
    )


def current_of(workflow_id: str, tenant: str = "") -> WorkflowVersion:
    """Return the current version of a workflow.

    Raises:
        UnknownWorkflow: there is none.
    """
    current = WorkflowVersion.objects.filter(workflow__current_version_id=F("pk"))
    version = current.filter(of_workflow(workflow_id, tenant)).first()
    if version is None:
        raise UnknownWorkflow(f"Workflow '{workflow_id}' not found: register its definition first")
    return version
