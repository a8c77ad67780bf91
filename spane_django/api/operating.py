"""What an operator does to nodes over HTTP: hurry, skip, complete, run again, move.

Whoever gives a node an input or an output may do what completing by hand may do, and takes that
permission as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.schema import Schema
from ..engine.bulk_verbs import VERBS, read_rerun
from ..engine.by_hand import complete, skip
from ..engine.operate import reassign, retry_now
from ..engine.rerun import Rerun, rerun_from
from .auth import user_of, why_not
from .base import EngineView, execution_key
from .executions import REASON, find_execution
from .openapi import extend_schema
from .present import present_status
from .shapes import StatusShape
from .wire import body_of

_COMPLETE = "spane_django.complete_node"


def schema_of_verb(verb: str) -> Schema:
    """Return what the body of a verb may hold: its arguments, but for the node, and a reason."""
    properties = {name: given for name, given in VERBS[verb].arguments.items() if name != "nodeId"}
    required = [name for name in VERBS[verb].required if name != "nodeId"]
    return {
        "type": "object",
        "properties": {**properties, **REASON["properties"]},
        "required": required,
        "additionalProperties": False,
    }


class RetryNowView(EngineView):
    """Lets a node go on now that waits for a retry or another time."""

    permissions = {"POST": "spane_django.retry_execution"}

    @extend_schema(request=REASON, responses=StatusShape)
    def post(self, request: Request, execution_id: str, node_id: str) -> Response:
        key, who = execution_key(execution_id), _who(request, body_of(request, REASON))
        retry_now(key, node_id, **who)
        return Response(present_status(find_execution(execution_id)))


class SkipView(EngineView):
    """Lets an execution go on without a node."""

    permissions = {"POST": "spane_django.skip_node"}

    @extend_schema(request=REASON, responses=StatusShape)
    def post(self, request: Request, execution_id: str, node_id: str) -> Response:
        key, who = execution_key(execution_id), _who(request, body_of(request, REASON))
        return Response(present_status(skip(key, node_id, **who)))


class CompleteView(EngineView):
    """Completes a node with the ``output`` of the body."""

    permissions = {"POST": _COMPLETE}

    @extend_schema(request=schema_of_verb("complete"), responses=StatusShape)
    def post(self, request: Request, execution_id: str, node_id: str) -> Response:
        body = body_of(request, schema_of_verb("complete"))
        key, who = execution_key(execution_id), _who(request, body)
        done = complete(key, node_id, body["output"], next_nodes=body.get("nextNodes"), **who)
        return Response(present_status(done))


class ReassignView(EngineView):
    """Moves what has not ended of an execution to a ``queue``, a ``priority`` or both."""

    permissions = {"POST": "spane_django.reassign_execution"}

    @extend_schema(request=schema_of_verb("reassign"), responses=StatusShape)
    def post(self, request: Request, execution_id: str) -> Response:
        body = body_of(request, schema_of_verb("reassign"))
        key, who = execution_key(execution_id), _who(request, body)
        moved = reassign(key, queue=body.get("queue"), priority=body.get("priority"), **who)
        return Response(present_status(moved))


class RerunView(EngineView):
    """Runs an execution again from what failed or from the start."""

    permissions = {"POST": "spane_django.retry_execution"}

    @extend_schema(request=schema_of_verb("rerun"), responses=StatusShape)
    def post(self, request: Request, execution_id: str) -> Response:
        body = body_of(request, schema_of_verb("rerun"))
        return _rerun(request, execution_id, body, read_rerun(body))


class RerunFromView(EngineView):
    """Runs an execution again from a node, with another input or output if the body gives one."""

    permissions = {"POST": "spane_django.retry_execution"}

    @extend_schema(request=schema_of_verb("rerun"), responses=StatusShape)
    def post(self, request: Request, execution_id: str, node_id: str) -> Response:
        body = body_of(request, schema_of_verb("rerun"))
        return _rerun(request, execution_id, body, read_rerun({"nodeId": node_id, **body}))


def require_right_to_give(request: Request, arguments: Mapping[str, Any]) -> None:
    """Refuse values given by hand by whoever may not complete nodes by hand.

    Raises:
        PermissionDenied: the permission is missing.
    """
    gives = "input" in arguments or "output" in arguments
    if gives and (message := why_not(request, _COMPLETE)):
        raise PermissionDenied(f"giving an input or an output: {message}")


def _rerun(request: Request, execution_id: str, body: dict[str, Any], rerun: Rerun) -> Response:
    require_right_to_give(request, body)
    runs = rerun_from(execution_key(execution_id), rerun, **_who(request, body))
    return Response(present_status(runs))


def _who(request: Request, body: dict[str, Any]) -> dict[str, Any]:
    return {"now": current_time(), "by": user_of(request), "reason": body.get("reason", "")}
