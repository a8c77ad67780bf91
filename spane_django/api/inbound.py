"""``ANY /api/webhooks/<path>``: the one route that strangers may call.

It is no view of the API: it takes forms and text as well as JSON, knows no sessions and therefore
no CSRF, and reads the body only as far as it may be.  Errors have the API's shape.  An answer is
nothing that a browser would run: whatever a template puts into it stays data.
"""

from __future__ import annotations

import json

from django.core.serializers.json import DjangoJSONEncoder
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from ..clock import now as current_time
from ..conf import settings
from ..core.errors import InvalidInput, SpaneError
from ..triggers.webhook_answers import Answer, answer_to
from ..triggers.webhook_intake import Greeting, Unwelcome, receive
from ..triggers.webhook_requests import Incoming, UnknownContentType, UnreadableBody, sender
from .errors import error_body

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


@csrf_exempt
@non_atomic_requests  # the sender may wait for a result that its own transaction would hide
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
