"""What happens to an execution over HTTP: as Server-Sent Events, or page by page by a cursor.

Whoever accepts ``text/event-stream`` gets a stream; anybody else JSON, with what is new since
``?after=``.  Both tell the same events with the same cursors, so that one may go on where the
other has stopped.  On a WSGI server, which has no thread to spare, a stream is answered with what
there is and closed; browsers come back by themselves, so that the same page works there, too.

Inputs and outputs are no part of it: they may measure megabytes.  What nodes wrote beside the
messages of their log is, for those who may see payloads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from copy import copy
from functools import partial
from uuid import UUID

from django.contrib.auth import SESSION_KEY, get_user, get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.exceptions import APIException, Throttled
from rest_framework.request import Request
from rest_framework.response import Response

from ..core.errors import InvalidInput, SpaneError
from ..core.schema import Fault
from ..engine.control import UnknownExecution
from ..models import Execution, LogLine, NodeRun
from ..observability.listeners import TooManyListeners, require_room
from ..observability.position import Position, UnknownPosition, read_position
from ..observability.stream import Event, Follower, Reading
from . import sse
from .auth import may_see_payloads, user_of
from .base import EngineView, execution_key
from .filters import require_known
from .openapi import JSON, extend_schema, header
from .present import Shown, present_line, present_node, present_status
from .shapes_events import EventsShape

# Seconds until a place may be free.
_TRY_AGAIN = 10


class EventsView(EngineView):
    """Tells what happens to an execution: as Server-Sent Events to who accepts
    `text/event-stream`, else as JSON, what is new since `after`.

    Events: `execution` and `node` (where it stands now), `log` (a line that a node wrote), `end`.
    """

    permissions = {"GET": "spane_django.view_execution"}

    @extend_schema(
        summary="What happens to an execution",
        parameters=[
            OpenApiParameter("after", str, description="What was told before: a `cursor` or `id`."),
            header("Last-Event-ID", "The same, as browsers send it."),
        ],
        responses={
            (200, JSON): EventsShape,
            (200, sse.CONTENT_TYPE): OpenApiTypes.STR,
            204: OpenApiResponse(description="As a stream: it has ended, and all of it was told."),
        },
    )
    def get(self, request: Request, execution_id: str) -> HttpResponseBase:
        require_known(request, {"after"})
        key = self.found(execution_id)
        position = _position(request, key)
        present = _presenter(with_payloads=may_see_payloads(request))
        if sse.CONTENT_TYPE not in request.headers.get("Accept", ""):
            return Response(_page(Follower(key, position).read(), present))
        if position is not None and position.has_ended and not _is_new(key, request):
            # With this answer browsers stop coming back.
            return Response(status=204)
        if isinstance(request._request, ASGIRequest):
            return _answer(self._stream(request, Follower(key, position), present))
        return _answer(_piece(Follower(key, position).read(), present))

    def found(self, given: str) -> UUID:
        """Return the id of an execution that the request may see.

        Raises:
            UnknownExecution: there is none.
        """
        key = execution_key(given)
        if not self.scope.within(Execution.objects.filter(pk=key)).exists():
            raise UnknownExecution(f"there is no execution {key}")
        return key

    def _stream(
        self, request: Request, follower: Follower, present: sse.Present
    ) -> AsyncIterator[bytes]:
        user = user_of(request)
        try:
            require_room(user.pk)
        except TooManyListeners as error:
            raise Throttled(wait=_TRY_AGAIN, detail=str(error)) from error
        return sse.stream(
            sse.Listening(
                user_id=user.pk,
                follower=follower,
                present=present,
                may_go_on=partial(_may_go_on, request, follower.execution_id),
            )
        )


def _position(request: Request, key: UUID) -> Position | None:
    """Return what the client says it knows; None: nothing.

    Raises:
        InvalidInput: it has made that up.
    """
    for name, given in (
        ("Last-Event-ID", request.headers.get("Last-Event-ID")),
        ("after", request.query_params.get("after")),
    ):
        if given:
            try:
                return read_position(given, key)
            except UnknownPosition as error:
                raise InvalidInput([Fault(name, "unknown_cursor", str(error))]) from None
    return None


def _is_new(key: UUID, request: Request) -> bool:
    """Say whether anything came after what the client knows."""
    return bool(Follower(key, _position(request, key)).read().events)


def _presenter(*, with_payloads: bool) -> sse.Present:
    def present(event: Event) -> tuple[str, Shown]:
        match event.subject:
            case NodeRun() as run:
                return "node", present_node(run)
            case LogLine() as line:
                return "log", present_line(line, with_payloads=with_payloads)
            case execution:
                shown = {**present_status(execution), "version": execution.version.number}
                return "end" if event.is_end else "execution", shown

    return present


def _page(reading: Reading, present: sse.Present) -> Shown:
    named = [(event.cursor, *present(event)) for event in reading.events]
    return {
        "results": [{"id": at, "event": name, "data": data} for at, name, data in named],
        "cursor": reading.cursor,
        "hasMore": reading.has_more,
        "hasEnded": reading.has_ended,
    }


def _piece(reading: Reading, present: sse.Present) -> Iterable[bytes]:
    """Yield what there is now; the browser comes back for the rest."""
    yield sse.opening(at_once=reading.has_more)
    yield sse.written(reading.events, present)


def _answer(body: Iterable[bytes] | AsyncIterator[bytes]) -> HttpResponseBase:
    return StreamingHttpResponse(body, content_type=sse.CONTENT_TYPE, headers=sse.headers())


def _may_go_on(request: Request, key: UUID) -> bool:
    """Ask again what was asked when the stream began: who it is and what they may see."""
    again = EventsView()
    again.setup(_as_if_new(request._request))
    asked = again.initialize_request(again.request)
    again.request = asked
    try:
        again.perform_authentication(asked)
        again.check_permissions(asked)
        again.found(str(key))
    except (APIException, SpaneError):
        return False
    # Whose right to payloads has changed comes back and is told accordingly.
    return may_see_payloads(asked) == may_see_payloads(request)


def _as_if_new(request: HttpRequest) -> HttpRequest:
    """Return a request whose session and user are read afresh."""
    again = copy(request)
    if (session := getattr(request, "session", None)) is not None:
        again.session = type(session)(session.session_key)
        if SESSION_KEY in again.session or SESSION_KEY in session:
            again.user = get_user(again)
            return again
    user = getattr(request, "user", None)
    if user is not None and user.pk is not None:
        again.user = get_user_model()._default_manager.filter(pk=user.pk).first() or AnonymousUser()
    return again
