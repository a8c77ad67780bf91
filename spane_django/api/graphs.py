"""Pictures of workflows: where the boxes of the nodes and the lines of the edges go."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..core.definition import Limits, read
from ..core.errors import InvalidDefinition
from ..core.picture import picture
from ..engine.drafts import find_version
from ..models import WorkflowVersion
from .base import EngineView
from .filters import NUMBER, require_known
from .openapi import extend_schema
from .shapes_workflows import GraphShape
from .versions import number_of
from .workflows import current_of

_VERSION = OpenApiParameter("version", NUMBER, description="Another one than the current.")


class GraphView(EngineView):
    """Lays a version out for a picture: boxes, lines and layers, from left to right."""

    permissions = {"GET": "spane_django.view_workflow"}

    @extend_schema(parameters=[_VERSION], responses=GraphShape)
    def get(self, request: Request, workflow_id: str) -> Response:
        require_known(request, ["version"])
        number = request.query_params.get("version")
        if number is None:
            version = current_of(workflow_id, self.tenant)
        else:
            version = find_version(workflow_id, number_of(number), tenant=self.tenant)
        drawn = _drawn(_Drawn(version))
        return Response({"workflowId": workflow_id, "version": version.number, **drawn})


class _Drawn:
    """A version, known by its content: a draft changes."""

    def __init__(self, version: WorkflowVersion) -> None:
        self.definition = version.definition
        self._key = (version.pk, version.content_hash)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Drawn) and other._key == self._key


# A picture of a large workflow takes a second.
@lru_cache(maxsize=32)
def _drawn(drawn: _Drawn) -> dict[str, Any]:
    definition, faults = read(drawn.definition, limits=Limits())
    if definition is None or faults:
        raise InvalidDefinition(faults)
    return picture(definition)
