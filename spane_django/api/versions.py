"""Versions over HTTP: the draft of a workflow, its versions, how they differ, which is current."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.diff import diff
from ..core.errors import InvalidDefinition, InvalidInput
from ..core.schema import Fault, Schema
from ..engine import drafts
from ..engine.naming import named
from ..engine.publish import validate
from ..engine.start import UnknownWorkflow
from ..engine.versions import UnknownVersion
from ..models import Workflow, WorkflowVersion
from .auth import user_of
from .base import EngineView
from .errors import present_faults
from .filters import NUMBER, require_known
from .openapi import extend_schema, page_of
from .pages import PAGE_NAMES, page
from .shapes_workflows import (
    DiffShape,
    DraftShape,
    RegisteredShape,
    SavedDraftShape,
    VersionShape,
    WholeVersionShape,
)
from .wire import body_of
from .workflows import id_faults

REASON: Schema = {
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 1_000}},
    "additionalProperties": False,
}
NOTHING: Schema = {"type": "object", "additionalProperties": False}
LARGEST_NUMBER = 2**31 - 1


class VersionsView(EngineView):
    """Lists the versions, drafts and archived ones included, newest first."""

    permissions = {"GET": "spane_django.view_workflow"}
    is_paged = True

    @extend_schema(summary="List versions", responses=page_of(VersionShape))
    def get(self, request: Request, workflow_id: str) -> Response:
        workflow = named(workflow_id, self.tenant).first()
        if workflow is None:
            raise UnknownWorkflow(f"Workflow '{workflow_id}' not found")
        versions = WorkflowVersion.objects.whole().filter(workflow=workflow)
        versions = versions.defer("definition").select_related("published_by")

        def present(version: WorkflowVersion) -> dict[str, Any]:
            return present_version(version, workflow)

        require_known(request, PAGE_NAMES)
        return page(request, versions, present, ordering=("-number",))


class VersionView(EngineView):
    """Shows a version with its definition."""

    permissions = {"GET": "spane_django.view_workflow"}

    @extend_schema(responses=WholeVersionShape)
    def get(self, request: Request, workflow_id: str, number: str) -> Response:
        version = drafts.find_version(workflow_id, number_of(number), tenant=self.tenant)
        shown = present_version(version, version.workflow)
        return Response({**shown, "definition": version.definition})


class DiffView(EngineView):
    """Tells how a version differs from that of ``?to=``: what would change from here to there."""

    permissions = {"GET": "spane_django.view_workflow"}

    @extend_schema(
        parameters=[OpenApiParameter("to", NUMBER, required=True, description="Another version.")],
        responses=DiffShape,
    )
    def get(self, request: Request, workflow_id: str, number: str) -> Response:
        before = drafts.find_version(workflow_id, number_of(number), tenant=self.tenant)
        after = drafts.find_version(workflow_id, _asked(request, "to"), tenant=self.tenant)
        found = diff(before.definition, after.definition)
        return Response({"from": before.number, "to": after.number, **found.as_json()})


class VersionVerbView(EngineView):
    """Says one thing to a version.  The body may give a ``reason``."""

    permissions = {"POST": "spane_django.publish_workflow"}
    verb: ClassVar[Callable[..., WorkflowVersion]]

    @extend_schema(request=REASON, responses=VersionShape)
    def post(self, request: Request, workflow_id: str, number: str) -> Response:
        reason = body_of(request, REASON).get("reason", "")
        now, by = current_time(), user_of(request)
        key = number_of(number)
        version = type(self).verb(
            workflow_id, key, now=now, by=by, reason=reason, tenant=self.tenant
        )
        workflow = Workflow.objects.get(pk=version.workflow_id)
        return Response(present_version(version, workflow))


class ActivateView(VersionVerbView):
    """Makes an earlier published version current again."""

    verb = drafts.activate


class ArchiveView(VersionVerbView):
    """Lets nothing new start on a version."""

    verb = drafts.archive


class DraftView(EngineView):
    """The draft of a workflow: read it, save it with whatever faults, throw it away."""

    permissions = {
        "GET": "spane_django.view_workflow",
        "PUT": "spane_django.publish_workflow",
        "DELETE": "spane_django.publish_workflow",
    }

    @extend_schema(summary="Read the draft", responses=DraftShape)
    def get(self, request: Request, workflow_id: str) -> Response:
        draft = drafts.find_draft(workflow_id, tenant=self.tenant)
        faults = validate(draft.definition, against_published=True, tenant=self.tenant)[1]
        return Response({**_saved(draft, faults), "definition": draft.definition})

    @extend_schema(summary="Save the draft", request={}, responses=SavedDraftShape)
    def put(self, request: Request, workflow_id: str) -> Response:
        raw: Any = request.data
        if faults := id_faults(raw, workflow_id):
            raise InvalidDefinition(faults)
        draft = drafts.save_draft(raw, now=current_time(), by=user_of(request), tenant=self.tenant)
        return Response(_saved(draft.version, draft.faults))

    @extend_schema(summary="Throw the draft away", responses={204: None})
    def delete(self, request: Request, workflow_id: str) -> Response:
        drafts.discard_draft(
            workflow_id, now=current_time(), by=user_of(request), tenant=self.tenant
        )
        return Response(status=204)


class PublishDraftView(EngineView):
    """Publishes the draft: it is the current version then."""

    permissions = {"POST": "spane_django.publish_workflow"}

    @extend_schema(request=NOTHING, responses=RegisteredShape)
    def post(self, request: Request, workflow_id: str) -> Response:
        body_of(request, NOTHING)
        version = drafts.publish_draft(
            workflow_id, now=current_time(), by=user_of(request), tenant=self.tenant
        )
        location = reverse("spane_django:version", args=[workflow_id, version.number])
        shown = {"workflowId": workflow_id, "version": version.number}
        return Response(shown, headers={"Location": location})


def present_version(version: WorkflowVersion, workflow: Workflow) -> dict[str, Any]:
    """Return a version without its definition."""
    by = version.published_by
    return {
        "workflowId": workflow.key,
        "version": version.number,
        "status": version.status,
        "isCurrent": version.pk == workflow.current_version_id,
        "createdAt": version.created_at,
        "publishedAt": version.published_at,
        "publishedBy": by.get_username() if by else None,
    }


def number_of(given: str) -> int:
    """Return the number of a version as it stands in a URL.

    Raises:
        UnknownVersion: no version has it.
    """
    if not (given.isascii() and given.isdigit()) or int(given[:20]) > LARGEST_NUMBER:
        raise UnknownVersion(f"there is no version '{given[:100]}'")
    return int(given)


def _asked(request: Request, name: str) -> int:
    try:
        return number_of(request.query_params.get(name, ""))
    except UnknownVersion:
        fault = Fault(name, "no_version", f"give the number of a version: ?{name}=2")
        raise InvalidInput([fault]) from None


def _saved(draft: WorkflowVersion, faults: list[Fault]) -> dict[str, Any]:
    return {
        "workflowId": draft.workflow.key,
        "version": draft.number,
        "valid": not faults,
        "details": list(present_faults(faults)),
    }
