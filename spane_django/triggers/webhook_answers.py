"""What the sender of a delivery is told: that it was taken, what came of it, or what is written.

* Waiting holds no lock and no transaction; it looks for the end more and more seldom.
* Templates of an answer read ``input``, ``results``, ``initial`` and ``execution`` (``id``,
  ``workflowId``, ``status``), as those of nodes do.  One that fails falls back to the plain
  answer: the delivery was taken, and the sender must not think otherwise.
* A header that a template has filled in never begins another one.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from ..conf import settings
from ..core.errors import InvalidInput
from ..core.expressions import ExpressionError, referenced_results, render
from ..core.json import Json
from ..core.statuses import ExecutionStatus
from ..models import Execution
from ..models.payloads import PayloadUnavailable, load
from .webhook_config import LEAST_STATUS, MOST_STATUS
from .webhook_intake import Receipt

logger = logging.getLogger("spane_django.triggers")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back.

    Attributes:
        body: Text as it is, or JSON; None: nothing.
    """

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_to(receipt: Receipt) -> Answer:
    """Return what the sender is told, after waiting for the result if that is wanted.

    Raises:
        InvalidInput: the input was refused; every fault is listed.
    """
    if isinstance(receipt.refusal, InvalidInput):
        raise receipt.refusal
    response = receipt.webhook.response
    if receipt.execution_id is None:
        return _plain(receipt)
    execution = None
    if response.get("waitSeconds"):
        seconds = min(response["waitSeconds"], settings.WEBHOOK_MAX_WAIT_SECONDS)
        execution = ended(receipt.execution_id, seconds=seconds)
    try:
        if response.get("mode") == "custom":
            return _custom(response, receipt.execution_id)
        return _plain(receipt) if execution is None else _result(receipt, execution)
    except (ExpressionError, PayloadUnavailable) as error:
        logger.warning("the answer of webhook %s fails: %s", receipt.webhook.pk, error)
        return _plain(receipt)


def ended(execution_id: UUID, *, seconds: float) -> Execution | None:
    """Wait until an execution has ended; None if it takes longer."""
    give_up, pause = time.monotonic() + seconds, _FIRST_PAUSE
    found = Execution.objects.filter(pk=execution_id)
    while True:
        status = found.values_list("status", flat=True).first()
        if status is None or ExecutionStatus(status).is_final:
            return found.select_related("version").first()
        left = give_up - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _plain(receipt: Receipt) -> Answer:
    return Answer(202, {"deliveryId": receipt.delivery_id, "executionId": receipt.execution_id})


def _result(receipt: Receipt, execution: Execution) -> Answer:
    body: dict[str, Any] = {
        "deliveryId": receipt.delivery_id,
        "executionId": execution.pk,
        "status": execution.status,
        "output": execution.output,
    }
    return Answer(200, body)


def _custom(response: Mapping[str, Any], execution_id: UUID) -> Answer:
    scope = _scope(response, execution_id)
    headers = {
        name: _CONTROL.sub(" ", str(value)).strip()
        for name, value in (render(response.get("headers", {}), scope) or {}).items()
    }
    body = render(response["body"], scope) if "body" in response else None
    return Answer(_status(render(response.get("status", 200), scope)), body, headers)


def _status(found: Json) -> int:
    """Return a status that a template has found.

    Raises:
        ExpressionError: it is none.
    """
    if isinstance(found, int) and LEAST_STATUS <= found <= MOST_STATUS:
        return found
    raise ExpressionError(f"a status is a number from {LEAST_STATUS} to {MOST_STATUS}")


def _scope(response: Mapping[str, Any], execution_id: UUID) -> dict[str, Json]:
    """Return what the templates read; the results are those of the nodes they name."""
    found = Execution.objects.select_related("workflow").get(pk=execution_id)
    wanted = referenced_results([response.get(part) for part in ("status", "headers", "body")])
    runs = found.node_runs.completed().filter(node_id__in=wanted) if wanted else ()
    data = load(found.input)
    return {
        "input": data,
        "initial": data,
        "results": {run.node_id: load(run.output) for run in runs},
        "execution": {
            "id": str(found.pk), "workflowId": found.workflow.key, "status": found.status,
        },
    }  # fmt: skip
