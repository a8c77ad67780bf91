"""Lists of executions over HTTP: newest first, those that were started on their own.

What an execution has started (the items of a map, sub-workflows, what follows its end) is listed
with ``?parent=``; a map of ten thousand items must not hide everything else.
"""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from ..core.errors import InvalidInput
from ..core.schema import Fault
from ..core.statuses import ExecutionStatus
from ..models import Execution
from ..models.execution import ExecutionQuerySet
from .base import EngineView, execution_key
from .dead_letters import NewestFirst
from .present import present_listed


class ExecutionsView(EngineView):
    """Lists executions, narrowed by ``workflowId``, ``status`` and ``parent``."""

    permissions = {"GET": "spane_django.view_execution"}

    def get(self, request: Request) -> Response:
        pages = NewestFirst()
        page = pages.paginate_queryset(_chosen(request), request, self)
        items = [present_listed(execution) for execution in page]
        return Response({"items": items, "next": pages.get_next_link()})


def _chosen(request: Request) -> ExecutionQuerySet:
    given = request.query_params
    executions = Execution.objects.select_related("workflow", "version", "parent_run").defer(
        "input", "version__definition", "parent_run__output", "parent_run__checkpoint"
    )
    parent = given.get("parent")
    executions = executions.filter(parent=execution_key(parent) if parent else None)
    if workflow := given.get("workflowId"):
        executions = executions.filter(workflow__key=workflow)
    if status := given.get("status"):
        executions = executions.filter(status=_status(status))
    return executions


def _status(given: str) -> ExecutionStatus:
    try:
        return ExecutionStatus(given)
    except ValueError:
        message = f"use one of {', '.join(ExecutionStatus)}"
        raise InvalidInput([Fault("status", "unknown_status", message)]) from None
