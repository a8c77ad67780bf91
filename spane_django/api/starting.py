"""Starting many executions by one call, and one node of an execution by hand."""

from __future__ import annotations

from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.errors import InvalidInput
from ..core.schema import Fault
from ..engine.audit import record_start
from ..engine.batch import LONGEST_KEY, MAX_INPUTS, start_batch
from ..engine.control import UnknownExecution
from ..engine.db import atomic
from ..engine.naming import of_workflow
from ..engine.rerun import UNCHANGED, From, Rerun, rerun_from
from ..models import Execution
from .auth import user_of
from .base import EngineView, execution_key
from .examples import BATCH, BATCH_STARTED, BY_HAND, STARTED
from .openapi import ACCEPTED, example, extend_schema, idempotency, object_of, sent
from .operating import require_right_to_give
from .shapes import BatchShape, ReferenceShape
from .wire import body_of
from .workflows import EXECUTE, accepted, start_options

_COMMON = {name: given for name, given in EXECUTE["properties"].items() if name != "initialData"}
_INPUTS = {
    "type": "array",
    "items": {},
    "minItems": 1,
    "maxItems": MAX_INPUTS,
    "description": "The input of each execution.",
}
BATCH_BODY = object_of({"inputs": _INPUTS, **_COMMON}, "inputs")
RUN_NODE = object_of(
    {
        "executionId": {"type": "string", "format": "uuid"},
        "inputData": {"description": "Instead of what its parents hand on."},
        "reason": {"type": "string", "maxLength": 1_000},
    },
    "executionId",
)


class BatchView(EngineView):
    """Starts an execution for each of up to 10,000 inputs, all or none."""

    permissions = {"POST": "spane_django.run_workflow"}

    @extend_schema(
        operation_id="executeBatch",
        request=BATCH_BODY,
        responses={202: BatchShape},
        parameters=[idempotency(longest=LONGEST_KEY)],
        examples=[sent("Two inputs", BATCH), example("In order", BATCH_STARTED, on=202)],
    )
    def post(self, request: Request, workflow_id: str) -> Response:
        now, body = current_time(), body_of(request, BATCH_BODY)
        options = start_options(request, body, self.tenant, now=now, longest_key=LONGEST_KEY)
        try:
            with atomic():
                keys = start_batch(workflow_id, body["inputs"], now=now, options=options)
                if Execution.objects.filter(pk=keys[0], created_at=now).exists():
                    by, tenant = user_of(request), self.tenant
                    record_start(workflow_id, keys, now=now, by=by, tenant=tenant)
        except InvalidInput as error:
            raise InvalidInput([_of_inputs(fault) for fault in error.faults]) from None
        return Response({"executionIds": keys}, status=status.HTTP_202_ACCEPTED)


class RunNodeView(EngineView):
    """Runs one node of an execution again by hand, and then what lies behind it.

    The node must have ended in that execution.
    """

    permissions = {"POST": "spane_django.retry_execution"}

    @extend_schema(
        request=RUN_NODE,
        responses={202: ReferenceShape},
        parameters=[ACCEPTED],
        examples=[sent("With another input", BY_HAND), example("Its execution", STARTED, on=202)],
    )
    def post(self, request: Request, workflow_id: str, node_id: str) -> Response:
        body = body_of(request, RUN_NODE)
        key = execution_key(body["executionId"])
        executions = Execution.objects.filter(of_workflow(workflow_id, self.tenant), pk=key)
        if not self.scope.within(executions).exists():
            raise UnknownExecution(f"workflow '{workflow_id}' has no execution {key}")
        given = body.get("inputData", UNCHANGED)
        require_right_to_give(request, {} if given is UNCHANGED else {"input": given})
        rerun = Rerun(start=From.NODE, node_id=node_id, input=given)
        who = {"by": user_of(request), "reason": body.get("reason", "")}
        return accepted(rerun_from(key, rerun, now=current_time(), **who).pk)


def _of_inputs(fault: Fault) -> Fault:
    """Name an input of a batch as the body does."""
    whole, bracket, rest = fault.path.partition("initialData")
    if not bracket or whole:
        return fault
    path = f"inputs{rest}" if rest.startswith("[") else f"inputs[0]{rest}"
    return Fault(path, fault.code, fault.message)
