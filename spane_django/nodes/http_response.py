"""What the response to an ``http`` node's request means.

Statuses that were expected (2xx unless the config says otherwise) are results.  408, 425, 429
and 5xx are failures that the retry policy may try again, not before ``Retry-After`` if the
service says so; every other status is final.  Nothing that the response claims about its size
is believed.
"""

from __future__ import annotations

import json
import zlib
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NoReturn

import httpx

from ..clock import machine_time
from ..core.json import Json
from ..core.outcome import NodeError, Permanent, RetryAfter
from .http_request import Call

MAX_RETRY_AFTER = 86_400.0  # a day, in seconds: no service gets to park a node for ever

_RETRYABLE = {408, 425, 429}
# Of one connection rather than of the response, or no business of a workflow.
_DROPPED = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
    *("transfer-encoding", "upgrade", "set-cookie"),
}


async def answer(call: Call, response: httpx.Response) -> Json:
    """Read a response: its status, headers (names in lower case) and body.

    The body is a value if it says it is JSON, else a text, its undecodable bytes replaced.

    Raises:
        NodeError, RetryAfter, Permanent: as the rules above say.
    """
    status = response.status_code
    if not call.expects(status):
        _fail(f"{call.name}: status {status}", response)
    headers = {k.lower(): v for k, v in response.headers.items() if k.lower() not in _DROPPED}
    body = await _read(call, response)
    return {"status": status, "headers": headers, "body": _parsed(call, response, body)}


def _fail(message: str, response: httpx.Response) -> NoReturn:
    if response.status_code not in _RETRYABLE and response.status_code < 500:
        raise Permanent(message)
    seconds = _retry_after(response.headers.get("retry-after", ""))
    raise NodeError(message) if seconds is None else RetryAfter(seconds, message)


def _retry_after(value: str) -> float | None:
    """Read seconds or an HTTP date.  See: RFC 9110, section 10.2.3."""
    try:
        if value.strip().isdecimal():
            seconds = float(value)
        else:
            date = parsedate_to_datetime(value)
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = (date - machine_time()).total_seconds()
    except ValueError:
        return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER)


async def _read(call: Call, response: httpx.Response) -> bytes:
    """Read the body, never more of it than allowed, whatever its headers claim."""
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise Permanent(f"{call.name}: the response is encoded in a way nobody asked for")
    inflate = zlib.decompressobj(wbits=31) if coding != "identity" else None
    body = bytearray()
    try:
        async for chunk in response.aiter_raw():
            # One chunk of a gzip bomb is a thousand times its size: inflate up to the limit.
            room = call.limit_bytes + 1 - len(body)
            body += inflate.decompress(chunk, room) if inflate else chunk
            if len(body) > call.limit_bytes:
                raise Permanent(
                    f"{call.name}: the response is larger than {call.limit_bytes:,} bytes; "
                    "'maxResponseBytes' raises the limit"
                )
    except zlib.error:
        raise NodeError(f"{call.name}: the response is damaged") from None
    if inflate and body and (not inflate.eof or inflate.unused_data):
        raise NodeError(f"{call.name}: the response is damaged")
    return bytes(body)


def _parsed(call: Call, response: httpx.Response, body: bytes) -> Json:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return body.decode(response.encoding or "utf-8", "replace")
    try:
        return json.loads(body) if body else None
    except (ValueError, RecursionError):
        raise NodeError(f"{call.name}: the response says it is JSON and is not") from None
