"""One verb for many executions over HTTP: counted first, then done in steps.

``POST /api/executions/bulk`` only counts unless ``dryRun`` is false.  Then it takes the first
step at once, which is all of a small operation; the sweep goes on with a larger one, and
``GET /api/executions/bulk/<id>`` tells how far it is.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.schema import Schema
from ..dispatch.bulk import hand_over
from ..engine.bulk import UnknownOperation, advance, begin, find_operation, plan
from ..engine.bulk_verbs import VERBS
from ..engine.selection import SCHEMA as SELECTION
from ..models import BulkOperation
from .auth import user_of, why_not
from .base import EngineView
from .examples import BULK, COUNTED
from .executions import REASON
from .openapi import example, extend_schema, object_of, sent
from .operating import require_right_to_give
from .shapes_operating import OperationShape
from .wire import body_of

_BODY: Schema = {
    "type": "object",
    "properties": {
        "verb": {"enum": list(VERBS)},
        "selection": {"type": "object"},
        "arguments": {"type": "object"},
        "dryRun": {"type": "boolean"},
        **REASON["properties"],
    },
    "required": ["verb", "selection"],
    "additionalProperties": False,
}


_SAID = {
    "oneOf": [
        object_of(
            {
                **_BODY["properties"],
                "verb": {"const": name},
                "selection": SELECTION,
                "arguments": verb.schema,
            },
            *("verb", "selection", *(["arguments"] if verb.required else [])),
        )
        for name, verb in VERBS.items()
    ]
}
"""The body as the document has it: what each verb takes."""


class BulkView(EngineView):
    """Applies a verb to a selection of executions; it takes the permission of the verb, too."""

    permissions = {"POST": "spane_django.view_execution"}

    @extend_schema(
        request=_SAID,
        responses={200: OperationShape, 202: OperationShape},
        examples=[sent("How many would be cancelled?", BULK), example("A count", COUNTED)],
    )
    def post(self, request: Request) -> Response:
        body = body_of(request, _BODY)
        verb, selection, arguments = body["verb"], body["selection"], body.get("arguments", {})
        _require_permission(request, verb, arguments)
        if body.get("dryRun", True):
            count = plan(verb, selection, arguments, tenant=self.tenant)
            return Response({"verb": verb, "dryRun": True, "count": count})
        now, reason = current_time(), body.get("reason", "")
        operation = begin(
            verb, selection, arguments, now=now, by=user_of(request), reason=reason,
            tenant=self.tenant,
        )  # fmt: skip
        operation = advance(operation.pk, now=now, keeps_driver=True)
        if operation.finished_at is None:
            hand_over(operation.pk)
        return Response(present_operation(operation), status=status.HTTP_202_ACCEPTED)


class OperationView(EngineView):
    """Tells how far an operation is, and what it refused to change."""

    permissions = {"GET": "spane_django.view_execution"}

    @extend_schema(responses=OperationShape)
    def get(self, request: Request, operation_id: str) -> Response:
        key = _key(operation_id)
        if not self.scope.within(BulkOperation.objects.filter(pk=key)).exists():
            raise UnknownOperation(f"there is no bulk operation '{operation_id[:100]}'")
        return Response(present_operation(find_operation(key)))


def present_operation(operation: BulkOperation) -> dict[str, Any]:
    """Return an operation as it goes over the wire; the refusals are the first of them."""
    return {
        "operationId": operation.pk,
        "verb": operation.verb,
        "dryRun": False,
        "count": operation.total,
        "changed": operation.changed,
        "refused": operation.refused,
        "refusals": operation.refusals,
        "createdAt": operation.created_at,
        "finishedAt": operation.finished_at,
    }


def _require_permission(request: Request, verb: str, arguments: dict[str, Any]) -> None:
    wanted = f"spane_django.{VERBS[verb].permission}"
    if message := why_not(request, wanted):
        raise PermissionDenied(message)
    if verb == "rerun":
        require_right_to_give(request, arguments)


def _key(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise UnknownOperation(f"there is no bulk operation '{given[:100]}'") from None
