"""Requests as webhooks see them: who sends, and what was sent as data.

* Whose address counts: the one that connects to us; behind a proxy that is trusted, the last
  address in ``X-Forwarded-For`` that is not a trusted proxy's.  What stands before it may be lies.
* Bodies are JSON, a form or text, in UTF-8, and nest no deeper than a client may send.
* Headers that look like secrets, and those that hold signatures, are left out of the data for
  good: they are neither stored nor mapped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import parse_qsl

from ..core.errors import SpaneError
from ..core.json import Json, UnstorableValue, encode, parse

Network = IPv4Network | IPv6Network

UNIX = "unix"
_MOST_FIELDS = 1_000
_SECRETS = re.compile(
    r"authori[sz]ation|cookie|secret|token|signature|password|api-?key|credential|x-auth"
)
_CHARSETS = ("", "utf-8", "utf8", "us-ascii")


class UnreadableBody(SpaneError):
    """The body is not what its content type says, or cannot be stored."""


class UnknownContentType(SpaneError):
    """Send JSON, a form or text, in UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A request, as it came.

    Attributes:
        headers: By names in lower case.
        query: As it stands in the address.
        body: Every byte, within the limit.
        address: Who sends; "" if it is not known.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    address: str


def sender(remote: str, forwarded: str, trusted: Sequence[str]) -> str:
    """Return the address of who sends; "" if it is not known.

    Args:
        remote: The address that connects to us; "" for a local socket.
        forwarded: ``X-Forwarded-For``.
        trusted: Addresses and networks of proxies; `UNIX` for the socket.
    """
    remote = remote.partition("%")[0]
    networks = _networks(tuple(each for each in trusted if each != UNIX))
    is_trusted = UNIX in trusted if not remote else is_within(remote, networks)
    if not is_trusted:
        return remote
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    for hop in reversed(hops):
        if _address(hop) is None:
            return ""
        if not is_within(hop, networks):
            return hop.partition("%")[0]
    return hops[0].partition("%")[0] if hops else remote


def may_send(address: str, allowed: Sequence[str]) -> bool:
    """Say whether an address is among those that may send; an empty list allows all."""
    return not allowed or is_within(address, _networks(tuple(allowed)))


def is_within(address: str, networks: Iterable[Network]) -> bool:
    """Say whether an address lies in one of the networks; an IPv4 address may be mapped."""
    found = _address(address)
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found is not None and any(found in network for network in networks)


def data_of(incoming: Incoming, *, path: str, hidden: Iterable[str] = ()) -> dict[str, Json]:
    """Return a request as JSON: ``body``, ``headers``, ``query``, ``method``, ``path``.

    Args:
        path: What is told of the path, which may be a secret.
        hidden: Headers to be left out besides those that look like secrets.

    Raises:
        UnreadableBody: it is not what its content type says, or cannot be stored.
        UnknownContentType: it is neither JSON nor a form nor text.
    """
    left_out = {name.lower() for name in hidden}
    headers = {
        name: value
        for name, value in incoming.headers.items()
        if name not in left_out and not _SECRETS.search(name)
    }
    request = {
        "method": incoming.method,
        "path": path,
        "query": _form(incoming.query.encode("latin-1", "replace")),
        "headers": headers,
        "body": _body(incoming),
    }
    try:
        encode(request)
    except UnstorableValue as error:
        raise UnreadableBody(str(error)) from None
    return request


def _body(incoming: Incoming) -> Json:
    if not incoming.body:
        return None
    kind, _, parameters = incoming.headers.get("content-type", "").lower().partition(";")
    kind = kind.strip()
    charset = re.search(r"charset\s*=\s*\"?([^\s;\"]*)", parameters)
    if charset and charset[1] not in _CHARSETS:
        raise UnknownContentType
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return _json(incoming.body)
    if kind == "application/x-www-form-urlencoded":
        return _form(incoming.body)
    if kind.startswith("text/"):
        return _text(incoming.body)
    raise UnknownContentType


def _json(body: bytes) -> Json:
    try:
        return parse(body)
    except UnstorableValue as error:
        raise UnreadableBody(str(error)) from None


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise UnreadableBody(f"the body is not UTF-8: {error.reason}") from None


def _form(text: bytes) -> dict[str, Json]:
    """Return the fields of a form; one that is given several times is a list."""
    try:
        pairs = parse_qsl(
            text.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        message = f"a form has at most {_MOST_FIELDS:,} fields, in UTF-8"
        raise UnreadableBody(message) from None
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: all_[0] if len(all_) == 1 else all_ for name, all_ in values.items()}


@lru_cache(maxsize=256)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(text, strict=False) for text in texts)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        # A zone may be any text, and means nothing beyond one machine.
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None
