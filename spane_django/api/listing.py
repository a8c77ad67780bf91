"""Lists of executions over HTTP: newest first, those that were started on their own.

What an execution has started (the items of a map, sub-workflows, what follows its end) is listed
with ``?parent=``; a map of ten thousand items must not hide everything else.
"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ..models import Execution
from ..models.execution import ExecutionQuerySet
from .base import EngineView
from .examples import PAGE
from .filters import filtered
from .filtersets import ExecutionFilters
from .openapi import example, extend_schema, page_of
from .pages import page
from .present import present_listed
from .shapes import ListedExecutionShape


class ExecutionsView(EngineView):
    """Lists executions, newest first; without ``parent`` those that were started on their own."""

    permissions = {"GET": "spane_django.view_execution"}
    filterset_class = ExecutionFilters
    is_paged = True

    @extend_schema(
        summary="List executions",
        responses=page_of(ListedExecutionShape),
        examples=[example("One execution", PAGE)],
    )
    def get(self, request: Request) -> Response:
        chosen = filtered(request, ExecutionFilters, self.scope.within(_listed()))
        if "parent" not in request.query_params:
            chosen = chosen.filter(parent=None)
        return page(request, chosen, present_listed, ordering=("-id",))


def _listed() -> ExecutionQuerySet:
    return Execution.objects.select_related("workflow", "version", "parent_run").defer(
        "input", "version__definition", "parent_run__output", "parent_run__checkpoint"
    )
