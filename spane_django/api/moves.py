"""Moving executions to another version over HTTP: a preview, unless the call says ``apply``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.errors import SpaneError
from ..core.json import Json
from ..core.schema import Schema
from ..engine.control import UnknownExecution
from ..engine.drafts import find_version
from ..engine.migrate import Unmovable, migrate, movable, preview
from ..engine.moves import Move
from ..engine.naming import of_workflow
from ..engine.scope import Scope
from ..models import Execution
from .auth import user_of
from .base import EngineView, execution_key
from .errors import present_faults
from .examples import MIGRATE as PREVIEW
from .openapi import extend_schema, sent
from .shapes_workflows import MigrationShape
from .versions import LARGEST_NUMBER
from .wire import body_of

# So many executions are looked at or moved by one call.
_MOST = 500

_NUMBER: Schema = {"type": "integer", "minimum": 1, "maximum": LARGEST_NUMBER}
_ID: Schema = {"type": "string", "maxLength": 100}
MIGRATE: Schema = {
    "type": "object",
    "properties": {
        "toVersion": _NUMBER,
        "fromVersion": {**_NUMBER, "description": "Only executions of this version."},
        "executions": {"type": "array", "items": _ID, "minItems": 1, "maxItems": _MOST},
        "after": {**_ID, "description": "The `next` of the call before."},
        "rename": {
            "type": "object",
            "additionalProperties": _ID,
            "description": "Ids of nodes with their ids in the other version.",
        },
        "apply": {"type": "boolean", "description": "False, the default: only say what would be."},
        "reason": {"type": "string", "maxLength": 1_000},
    },
    "required": ["toVersion"],
    "additionalProperties": False,
}


class MigrateView(EngineView):
    """Moves executions of a workflow: those named, or all unfinished ones of other versions.

    Each is moved in a transaction of its own; one that cannot be moved holds up nobody.
    """

    permissions = {"POST": "spane_django.publish_workflow"}

    @extend_schema(request=MIGRATE, responses=MigrationShape, examples=[sent("A preview", PREVIEW)])
    def post(self, request: Request, workflow_id: str) -> Response:
        body = body_of(request, MIGRATE)
        to_number = int(body["toVersion"])
        find_version(workflow_id, to_number, tenant=self.tenant)
        keys, following = _chosen(workflow_id, body, self.scope, self.tenant)
        rename = body.get("rename")
        shown = {"toVersion": to_number, "applied": bool(body.get("apply")), "next": following}
        if not body.get("apply"):
            moves = preview(keys, to_number, rename=rename)
            return Response({**shown, "executions": [_present(move) for move in moves]})
        options = {"rename": rename, "reason": body.get("reason", ""), "by": user_of(request)}
        results = [_moved(key, to_number, options) for key in keys]
        return Response({**shown, "executions": results})


def _chosen(
    workflow_id: str, body: dict[str, Json], scope: Scope, tenant: str
) -> tuple[Sequence[UUID], UUID | None]:
    """Return the executions, and the last of them if there are more."""
    if "executions" in body:
        keys = list(dict.fromkeys(map(execution_key, body["executions"])))
        own = Execution.objects.filter(of_workflow(workflow_id, tenant), pk__in=keys)
        own = scope.within(own)
        known = set(own.values_list("pk", flat=True))
        for key in keys:
            if key not in known:
                raise UnknownExecution(f"workflow '{workflow_id}' has no execution {key}")
        return keys, None
    number = body.get("fromVersion")
    executions = movable(
        workflow_id,
        int(body["toVersion"]),
        from_number=None if number is None else int(number),
        tenant=tenant,
    )
    executions = scope.within(executions)
    if "after" in body:
        executions = executions.filter(pk__gt=execution_key(body["after"]))
    keys = list(executions.values_list("pk", flat=True)[: _MOST + 1])
    return keys[:_MOST], keys[_MOST - 1] if len(keys) > _MOST else None


def _present(move: Move) -> dict[str, Any]:
    return {
        "executionId": move.execution_id,
        "fromVersion": move.from_number,
        "possible": move.is_possible,
        "details": list(present_faults(move.faults)),
        "starts": move.starts,
        "drops": move.drops,
    }


def _moved(key: UUID, to_number: int, options: dict[str, Any]) -> dict[str, Any]:
    try:
        migrate(key, to_number, now=current_time(), **options)
    except Unmovable as error:
        details = list(present_faults(error.faults))
        return {"executionId": key, "moved": False, "message": str(error), "details": details}
    except SpaneError as error:
        return {"executionId": key, "moved": False, "message": str(error), "details": []}
    return {"executionId": key, "moved": True, "message": "", "details": []}
