"""From the config of an ``http`` node to the request that it stands for.

Templates may have put in anything, so types are checked once more, and all that is wrong is
listed.  Messages name headers and the origin, never values, paths and queries: secrets are there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ..conf import settings
from ..core.json import Json, UnstorableValue, encode
from ..core.outcome import Permanent

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

_SAFE = {"GET", "HEAD", "OPTIONS"}
_FRAMING = {"content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_STATUS = re.compile(r"[1-5](\d\d|xx)", re.I)


@dataclass(frozen=True, slots=True)
class Call:
    """A request, ready to be sent; ``expected`` holds statuses and classes such as ``2xx``."""

    method: str
    url: httpx.URL
    headers: dict[str, str]
    content: bytes | None
    expected: tuple[str, ...]
    follows_redirects: bool
    limit_bytes: int

    @property
    def name(self) -> str:
        """What the call may be called in messages."""
        return f"{self.method} {self.url.scheme}://{self.url.netloc.decode('ascii')}"

    def expects(self, status: int) -> bool:
        return str(status) in self.expected or f"{status // 100}xx" in self.expected


def call_from(
    config: Mapping[str, Any], *, idempotency_key: str, traceparent: str | None = None
) -> Call:
    """Read a node's config.

    Args:
        traceparent: The trace that the request belongs to; None: nothing is traced.

    Raises:
        Permanent: it describes no request; everything that is wrong is in the message.
    """
    faults = list(faults_of(config))
    if faults:
        raise Permanent("; ".join(faults))
    method = config.get("method", "GET").upper()
    query = {name: value for name, value in config.get("query", {}).items() if value is not None}
    given = {name.lower(): str(value) for name, value in config.get("headers", {}).items()}
    headers = {"accept-encoding": "gzip", **given}
    if method not in _SAFE:
        headers.setdefault("idempotency-key", idempotency_key)
    if traceparent is not None:
        headers.setdefault("traceparent", traceparent)
    if "json" in config:
        headers.setdefault("content-type", "application/json")
    return Call(
        method=method,
        # Merging nothing would still rewrite the address's own query, which may be signed.
        url=_url(config).copy_merge_params(query) if query else _url(config),
        headers=headers,
        content=_content(config),
        expected=tuple(str(status).lower() for status in _expected(config)),
        follows_redirects=config.get("followRedirects", True),
        limit_bytes=config.get("maxResponseBytes", settings.HTTP_MAX_RESPONSE_BYTES),
    )


def faults_of(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a config that has no templates (any more)."""
    if ("url" in config) == ("endpoint" in config):
        yield "give one of 'url' and 'endpoint'"
    else:
        yield from _url_faults(config)
    if str(config.get("method", "GET")).upper() not in METHODS:
        yield f"'method' is one of {', '.join(METHODS)}"
    yield from _header_faults(config.get("headers", {}))
    if not _is_query(config.get("query", {})):
        yield "'query' is an object of texts, numbers, booleans, or lists of these"
    yield from _body_faults(config)
    for status in _expected(config):
        if not _STATUS.fullmatch(str(status)):
            yield "'expectedStatus' holds statuses such as 200 and classes such as '2xx'"


def _url(config: Mapping[str, Any]) -> httpx.URL:
    return httpx.URL(config["url"] if "url" in config else config["endpoint"])


def _url_faults(config: Mapping[str, Any]) -> Iterator[str]:
    try:
        url = _url(config)
        is_absolute = url.scheme in ("http", "https") and url.host
    except (httpx.InvalidURL, TypeError, ValueError):
        is_absolute = False
    if not is_absolute:
        yield "the address must be absolute: https://host/path"


def _header_faults(headers: Json) -> Iterator[str]:
    if not isinstance(headers, dict):
        yield "'headers' is an object of texts"
        return
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
            yield f"the header {name!r} cannot be set"
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            yield f"the header '{name}' must be a text or a number"
        elif not _HEADER_VALUE.fullmatch(str(value)):
            yield f"the header '{name}' holds characters that headers cannot, such as line breaks"


def _body_faults(config: Mapping[str, Any]) -> Iterator[str]:
    if "json" in config and "body" in config:
        yield "give one of 'json' and 'body'"
    elif not isinstance(config.get("body", ""), str):
        yield "'body' is a text; hand other values to 'json'"
    try:
        encode(config.get("json"))
    except UnstorableValue as error:
        yield f"'json': {error}"


def _content(config: Mapping[str, Any]) -> bytes | None:
    if "json" in config:
        return encode(config["json"]).encode()
    return str(config["body"]).encode("utf-8", "replace") if "body" in config else None


def _expected(config: Mapping[str, Any]) -> list[Json]:
    expected = config.get("expectedStatus", "2xx")
    return expected if isinstance(expected, list) else [expected]


def _is_query(query: Json) -> bool:
    return isinstance(query, dict) and all(
        isinstance(one, str | int | float | None)
        for value in query.values()
        for one in (value if isinstance(value, list) else [value])
    )
