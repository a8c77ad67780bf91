"""The types that nodes may be of, with the JSON Schema of what configures them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from ..core.schema import schema_of
from ..nodes.base import Node, registry
from .base import EngineView
from .openapi import extend_schema, page_of
from .shapes_workflows import NodeTypeShape


class NodeTypesView(EngineView):
    """Lists the node types that this process knows, all of them on one page."""

    permissions = {"GET": "spane_django.view_workflow"}

    @extend_schema(summary="List node types", responses=page_of(NodeTypeShape))
    def get(self, request: Request) -> Response:
        types = [_present(node) for node in registry]
        return Response({"results": types, "next": None, "previous": None})


def _present(node: Node) -> dict[str, Any]:
    timeout = node.timeout
    return {
        "type": node.type,
        "description": node.description,
        "config": schema_of(node.config),
        "queue": node.queue,
        "timeoutMs": None if timeout is None else timeout / timedelta(milliseconds=1),
        "isPure": node.is_pure,
        "isTransactional": node.is_transactional,
        "isBuiltIn": registry.is_built_in(node.type),
    }
