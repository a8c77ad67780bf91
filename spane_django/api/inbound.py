"""``ANY /api/webhooks/<path>``: the one route that strangers may call.

It takes forms and text as well as JSON, knows no sessions and therefore no CSRF, and reads the
body only as far as it may be: nothing of REST framework has a part in it but the document.  Errors
have the API's shape.  An answer is nothing that a browser would run: whatever a template puts into
it stays data.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from drf_spectacular.types import OpenApiTypes

from ..clock import now as current_time
from ..conf import settings
from ..core.errors import InvalidInput, SpaneError
from ..triggers.webhook_answers import Answer, answer_to
from ..triggers.webhook_config import METHODS
from ..triggers.webhook_intake import Greeting, Unwelcome, receive
from ..triggers.webhook_requests import Incoming, UnknownContentType, UnreadableBody, sender
from .base import OpenView
from .errors import error_body
from .openapi import ErrorShape, extend_schema
from .shapes_webhooks import ReceiptShape

# No body goes with these, whatever a template says.
_BODILESS = (204, 205, 304)


class TooLarge(SpaneError):
    """The body is larger than a webhook reads."""


_REFUSALS: dict[type[SpaneError], tuple[int, str]] = {
    Unwelcome: (404, "not_found"),
    TooLarge: (413, "payload_too_large"),
    UnreadableBody: (400, "unreadable_body"),
    UnknownContentType: (415, "unknown_content_type"),
}


_ANY: dict[str, Any] = {"description": "Any JSON value."}
_ANSWERS: dict[Any, Any] = {
    (200, "application/json"): _ANY,
    (200, "text/plain"): OpenApiTypes.STR,
    202: ReceiptShape,
    **dict.fromkeys((400, 404, 413, 415, 422), ErrorShape),
}


class InboundView(OpenView):
    """Takes in what is sent to a webhook.

    What may be sent and what is answered is up to the webhook: methods, signature, and whether it
    waits for the result. An unknown path, another method and a bad signature are all 404.
    """

    def dispatch(self, request: HttpRequest, *args: str, **kwargs: str) -> HttpResponse:
        if request.method not in METHODS:
            allowed = ", ".join(METHODS)
            message = f"no webhook takes {request.method}: use {allowed}"
            body = error_body("method_not_allowed", message)
            return _response(Answer(405, body, {"Allow": allowed}))
        handler: Callable[..., HttpResponse] = getattr(self, request.method.lower())
        return handler(request, kwargs["path"])

    @extend_schema(responses=_ANSWERS)
    def get(self, request: HttpRequest, path: str) -> HttpResponse:
        return inbound(request, path)

    @extend_schema(request=_ANY, responses=_ANSWERS)
    def post(self, request: HttpRequest, path: str) -> HttpResponse:
        return inbound(request, path)

    put = patch = post
    delete = get


def inbound(request: HttpRequest, path: str) -> HttpResponse:
    """Take in a delivery and answer its sender."""
    try:
        received = receive(_incoming(request, path), now=current_time())
        if isinstance(received, Greeting):
            return _response(Answer(200, received.text))
        return _response(answer_to(received))
    except InvalidInput as error:
        return _refused(422, "invalid_input", error)
    except UnreadablePostError:
        return _refused(400, "unreadable_body", UnreadableBody("the body could not be read"))
    except (Unwelcome, TooLarge, UnreadableBody, UnknownContentType) as error:
        return _refused(*_REFUSALS[type(error)], error)


def _incoming(request: HttpRequest, path: str) -> Incoming:
    meta = request.META
    return Incoming(
        method=str(request.method),
        path=path,
        query=meta.get("QUERY_STRING", ""),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=_body(request),
        address=sender(
            meta.get("REMOTE_ADDR") or "",
            meta.get("HTTP_X_FORWARDED_FOR", ""),
            settings.TRUSTED_PROXIES,
        ),
    )


def _body(request: HttpRequest) -> bytes:
    """Return the body, not read any further than it may be.

    Raises:
        TooLarge: it is larger, by what it says of itself or by what came.
    """
    limit = settings.WEBHOOK_MAX_BYTES
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if not declared.isdigit() or len(declared) > 12 or int(declared) > limit:
        raise TooLarge
    body = request.read(limit + 1)
    if len(body) > limit:
        raise TooLarge
    return bytes(body)


def _refused(status: int, code: str, error: SpaneError) -> HttpResponse:
    faults = error.faults if isinstance(error, InvalidInput) else ()
    return _response(Answer(status, error_body(code, str(error), faults)))


def _response(answer: Answer) -> HttpResponse:
    body = "" if answer.body is None or answer.status in _BODILESS else answer.body
    content, kind = body, "text/plain; charset=utf-8"
    if not isinstance(body, str):
        content = json.dumps(body, cls=DjangoJSONEncoder, ensure_ascii=False)
        kind = "application/json"
    response = HttpResponse(content, status=answer.status, content_type=kind)
    for name, value in answer.headers.items():
        response[name] = value
    response["Cache-Control"] = "no-store"
    response["X-Content-Type-Options"] = "nosniff"
    # Pages of the admin live on this host: what a sender wrote must not run among them.
    response["Content-Security-Policy"] = "sandbox; default-src 'none'"
    return response
