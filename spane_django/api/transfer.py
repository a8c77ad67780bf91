"""Workflows leave and arrive over HTTP: the same code as ``spane_export`` and ``spane_import``.

A body is JSON or, with ``Content-Type: application/yaml``, YAML: one definition or a list of
them.  All are published, or none and every fault is told.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.utils.http import content_disposition_header
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from ..authoring.transfer import (
    MOST_AT_ONCE,
    Form,
    Source,
    checked,
    exported,
    named,
    take,
    written,
)
from ..authoring.yaml import Unreadable, read_all
from ..clock import now as current_time
from ..conf import settings
from ..core.errors import InvalidDefinition, InvalidInput
from ..core.json import Json, UnstorableValue, encode
from ..core.schema import Fault
from ..engine.naming import of_workflow
from ..engine.start import UnknownWorkflow
from ..models import WorkflowVersion
from .auth import user_of
from .base import EngineView
from .examples import REGISTERED, WORKFLOW
from .filters import require_known
from .openapi import JSON, example, extend_schema, sent
from .shapes_workflows import DefinitionShape, ImportedShape
from .wire import PayloadTooLarge, StrictParser

YAML = "application/yaml"
_BODY = {"oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}]}
_FLAGS = ("true", "false")


class YamlParser(BaseParser):
    """Reads a YAML body; see `authoring.yaml` for how much of YAML that is."""

    media_type = YAML

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Json:
        limit = settings.MAX_DEFINITION_BYTES
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise PayloadTooLarge(f"a YAML body is larger than {limit:,} bytes")
        try:
            found = read_all(body.decode())
            encode(found)
        except (Unreadable, UnstorableValue, UnicodeDecodeError) as error:
            raise ParseError(f"the body cannot be accepted: {error}") from None
        return found[0] if len(found) == 1 else found


def _flag(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "boolean", "default": False}, description=description)


class ExportView(EngineView):
    """Gives the current definition of a workflow, or its draft, as a file."""

    permissions = {"GET": "spane_django.view_workflow"}

    @extend_schema(
        summary="Export a workflow",
        parameters=[
            OpenApiParameter("format", {"type": "string", "enum": list(Form), "default": "json"}),
            _flag("draft", "The draft instead of the current version."),
        ],
        responses={(200, JSON): DefinitionShape, (200, YAML): DefinitionShape},
        examples=[example("A greeting", WORKFLOW)],
    )
    def get(self, request: Request, workflow_id: str) -> HttpResponse:
        require_known(request, {"format", "draft"})
        form = _form(request)
        versions = WorkflowVersion.objects.whole().filter(of_workflow(workflow_id, self.tenant))
        found = exported(versions, is_draft=_is_set(request, "draft"))
        if not found:
            raise UnknownWorkflow(f"Workflow '{workflow_id[:100]}' has nothing to export")
        text = written(found.popitem()[1], form)
        name = content_disposition_header(True, f"{workflow_id}.{form}")
        return HttpResponse(
            text,
            content_type=YAML if form is Form.YAML else JSON,
            headers={"Content-Disposition": str(name)},
        )


class ImportView(EngineView):
    """Publishes definitions, or saves them as drafts: all of them, or none."""

    permissions = {"POST": "spane_django.publish_workflow"}
    parser_classes = (StrictParser, YamlParser)

    @extend_schema(
        summary="Import workflows",
        request={JSON: _BODY, YAML: _BODY},
        parameters=[
            _flag("dryRun", "Only say what would be."),
            _flag("draft", "Save as drafts, which may have faults."),
        ],
        responses=ImportedShape,
        examples=[
            sent("Two workflows", [WORKFLOW, {**WORKFLOW, "id": "hello-again"}]),
            example("What is current now", {"dryRun": False, "results": [REGISTERED]}),
        ],
    )
    def post(self, request: Request) -> Response:
        require_known(request, {"dryRun", "draft"})
        dry_run, as_drafts = _is_set(request, "dryRun"), _is_set(request, "draft")
        found = checked(_sources(request), tenant=self.tenant)
        versions = take(
            found,
            now=current_time(),
            by=user_of(request),
            tenant=self.tenant,
            as_drafts=as_drafts,
            dry_run=dry_run,
        )
        results = [
            {"workflowId": version.workflow.key, "version": version.number} for version in versions
        ]
        return Response({"dryRun": dry_run, "results": results})


def _sources(request: Request) -> list[Source]:
    found = named("", request.data)
    if not found or len(found) > MOST_AT_ONCE:
        fault = Fault("", "how_many", f"send 1 to {MOST_AT_ONCE:,} definitions")
        raise InvalidDefinition([fault])
    return found


def _form(request: Request) -> Form:
    given = request.query_params.get("format", Form.JSON)
    try:
        return Form(given)
    except ValueError:
        fault = Fault("format", "unknown_format", f"use one of {', '.join(Form)}")
        raise InvalidInput([fault]) from None


def _is_set(request: Request, name: str) -> bool:
    given = request.query_params.get(name, "false")
    if given not in _FLAGS:
        raise InvalidInput([Fault(name, "no_flag", f"use one of {', '.join(_FLAGS)}")])
    return given == "true"
