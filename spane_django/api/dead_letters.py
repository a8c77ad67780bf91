"""Dead letters over HTTP: the open ones, newest first, and what may be done about one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..core.errors import InvalidInput
from ..core.schema import Fault
from ..engine.bulk import advance, begin, plan
from ..engine.letters import FILTER, letters_of
from ..engine.retry import UnknownDeadLetter, discard_dead_letter, retry_dead_letter
from ..models import DeadLetter
from .auth import may_see_payloads, user_of
from .base import EngineView, row_key
from .bulk import present_operation
from .examples import LETTERS
from .executions import REASON
from .filters import filtered
from .filtersets import DeadLetterFilters
from .openapi import extend_schema, object_of, page_of, sent
from .pages import page
from .present import present_dead_letter
from .shapes import DeadLetterShape
from .shapes_operating import LettersShape, OperationShape
from .wire import body_of

ALL_LETTERS = object_of(
    {
        **FILTER,
        "all": {"const": True, "description": "Instead of a filter."},
        "dryRun": {"type": "boolean", "default": True},
        **REASON["properties"],
    }
)
_NESTED = {"nested": True}


class DeadLettersView(EngineView):
    """Lists what failed for good and nobody has dealt with yet."""

    permissions = {"GET": "spane_django.view_deadletter"}

    filterset_class = DeadLetterFilters
    is_paged = True

    @extend_schema(summary="List open dead letters", responses=page_of(DeadLetterShape))
    def get(self, request: Request) -> Response:
        shows = may_see_payloads(request)
        letters = self.scope.within(DeadLetter.objects.open())
        letters = letters.select_related("execution__workflow")
        chosen = filtered(request, DeadLetterFilters, letters.defer("execution__input"))

        def present(letter: DeadLetter) -> dict[str, Any]:
            return present_dead_letter(letter, with_payloads=shows)

        return page(request, chosen, present, ordering=("-id",))


class AllLettersView(EngineView):
    """Does one thing with all open dead letters that a filter chooses.

    Only counts unless ``dryRun`` is false.  Then the first step is taken at once, and
    ``GET /api/executions/bulk/<operationId>`` tells how far the operation is; it counts
    executions.
    """

    permissions = {"POST": "spane_django.retry_execution"}
    verb: ClassVar[str]

    @extend_schema(
        request=ALL_LETTERS,
        responses={200: LettersShape, 202: OperationShape},
        examples=[sent("Of one error", LETTERS)],
    )
    def post(self, request: Request) -> Response:
        body = body_of(request, ALL_LETTERS)
        chosen = {name: body[name] for name in FILTER if name in body}
        if bool(chosen) == ("all" in body):
            message = "name a filter, or else write 'all': true"
            raise InvalidInput([Fault("all", "unfitting", message)])
        if body.get("dryRun", True):
            plan(self.verb, _NESTED, chosen, tenant=self.tenant)
            letters = self.scope.within(letters_of(chosen)).count()
            return Response({"verb": self.verb, "dryRun": True, "count": letters})
        who = {"now": current_time(), "by": user_of(request), "reason": body.get("reason", "")}
        begun = begin(self.verb, _NESTED, chosen, tenant=self.tenant, **who)
        done = advance(begun.pk, now=current_time(), keeps_driver=True)
        return Response(present_operation(done), status=202)


class RetryAllView(AllLettersView):
    """Runs the nodes of all open dead letters again that a filter chooses."""

    verb = "retry-letters"


class DiscardAllView(AllLettersView):
    """Marks all open dead letters as dealt with that a filter chooses."""

    verb = "discard-letters"


class LetterView(EngineView):
    """Does one thing with a dead letter.  The body may give a ``reason``."""

    verb: ClassVar[Callable[..., DeadLetter]]

    @extend_schema(request=REASON, responses=DeadLetterShape)
    def post(self, request: Request, letter_id: str) -> Response:
        reason = body_of(request, REASON).get("reason", "")
        key, by = _letter_key(letter_id), user_of(request)
        letter = type(self).verb(key, now=current_time(), by=by, reason=reason)
        return Response(present_dead_letter(letter, with_payloads=may_see_payloads(request)))


class RetryLetterView(LetterView):
    """Runs its node again."""

    permissions = {"POST": "spane_django.retry_execution"}
    verb = retry_dead_letter


class DiscardLetterView(LetterView):
    """Marks it as dealt with."""

    permissions = {"POST": "spane_django.retry_execution"}
    verb = discard_dead_letter


def _letter_key(given: str) -> int:
    key = row_key(given)
    if key is None:
        raise UnknownDeadLetter(f"there is no dead letter '{given[:100]}'")
    return key
