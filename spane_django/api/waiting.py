"""``?wait=``: a start that is answered when the execution has ended."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response

from ..core.errors import InvalidInput
from ..core.schema import Fault
from ..models import Execution
from .auth import may_see_payloads
from .filters import require_known
from .present import present_ended

LONGEST_SECONDS = 60
WAIT = OpenApiParameter(
    "wait",
    {"type": "integer", "minimum": 0, "maximum": LONGEST_SECONDS, "default": 0},
    description="How many seconds the answer may wait for the end of the execution.",
)


def seconds_to_wait(request: Request) -> int:
    """Return how long the answer may wait.

    Raises:
        InvalidInput: it is no such number, or another parameter is unknown.
    """
    require_known(request, ["wait"])
    given = request.query_params.get("wait", "0")
    if given.isascii() and given.isdigit() and int(given[:9]) <= LONGEST_SECONDS:
        return int(given[:9])
    message = f"'{given[:50]}' is no number of seconds from 0 to {LONGEST_SECONDS}"
    raise InvalidInput([Fault("wait", "out_of_range", message)])


def ended(request: Request, execution_id: UUID) -> Response:
    """Answer with what an execution came to."""
    execution = Execution.objects.select_related("workflow", "version").get(pk=execution_id)
    shown = present_ended(execution, with_payloads=may_see_payloads(request))
    location = reverse("spane_django:execution", args=[execution_id])
    return Response(shown, headers={"Location": location})
