"""What goes over the wire: strict JSON in UTF-8, both ways, and nothing else.

A body is refused, always as the client's fault, if it is larger than any definition or payload
may be, is not JSON by the letter (NaN, halves of surrogate pairs), or is what no database would
keep (NUL characters, integers beyond 64 bits, nesting without end).
"""

from __future__ import annotations

from typing import Any

from rest_framework import status
from rest_framework.exceptions import APIException, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from ..conf import settings
from ..core.errors import InvalidInput
from ..core.json import Json, UnstorableValue, parse
from ..core.schema import Fault, Schema, faults_in

# What a body may hold around the largest definition or payload.
_ENVELOPE_BYTES = 65_536


class PayloadTooLarge(APIException):
    """The body is larger than anything that could be accepted."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "payload_too_large"


class StrictParser(BaseParser):
    """Reads a JSON body."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Json:
        limit = body_limit()
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise PayloadTooLarge(f"the body is larger than {limit:,} bytes")
        try:
            return parse(body)
        except UnstorableValue as error:
            raise ParseError(str(error)) from None


class StrictRenderer(JSONRenderer):
    """Writes JSON, as compact as it gets."""

    charset = None
    ensure_ascii = False
    compact = True
    strict = True


class OnlyJson(DefaultContentNegotiation):
    """Answers in JSON whatever the client says it accepts, so that no error is hidden."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


def body_of(request: Request, schema: Schema) -> dict[str, Json]:
    """Return the body, an object that fits ``schema``.

    Raises:
        InvalidInput: with every fault.
    """
    faults = list(faults_in(schema, request.data, ""))
    if faults:
        raise InvalidInput(faults)
    return dict(request.data)


def header_of(request: Request, name: str, *, longest: int) -> str | None:
    """Return a header of printable ASCII; None if it was not sent.

    Raises:
        InvalidInput: it is empty, too long or not printable.
    """
    value = request.headers.get(name)
    if value is None:
        return None
    if not (1 <= len(value) <= longest and value.isascii() and value.isprintable()):
        message = f"use 1 to {longest} printable ASCII characters"
        raise InvalidInput([Fault(name, "invalid_header", message)])
    return str(value)


def body_limit() -> int:
    """Return the most bytes that a body may have."""
    return max(settings.MAX_PAYLOAD_BYTES, settings.MAX_DEFINITION_BYTES) + _ENVELOPE_BYTES
