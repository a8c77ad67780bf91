"""Dead letters over HTTP: the open ones, newest first, and what may be done about one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from rest_framework.request import Request
from rest_framework.response import Response

from ..clock import now as current_time
from ..engine.retry import UnknownDeadLetter, discard_dead_letter, retry_dead_letter
from ..models import DeadLetter
from .auth import may_see_payloads, user_of
from .base import EngineView, row_key
from .executions import REASON
from .filters import filtered
from .filtersets import DeadLetterFilters
from .openapi import extend_schema, page_of
from .pages import page
from .present import present_dead_letter
from .shapes import DeadLetterShape
from .wire import body_of


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
